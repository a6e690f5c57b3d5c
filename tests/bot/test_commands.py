"""The commands: who gets what, and what fits a message."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.bot.bot_api import SPEC, check, check_fields, plain, spec, utf16
from tests.bot.scenes import GROUP, KNOWLEDGE, OWNER, FakeMemory, incoming, some_data

from doggo.bot.commands import DESCRIPTIONS, IN_GROUPS, IN_PRIVATE, menus
from doggo.bot.conversation import MyData, Totals, answer
from doggo.bot.scene import Knowledge
from doggo.bot.texts import languages, say
from doggo.core.breeds import BREEDS, title
from doggo.core.chat import ChatKind, Consent, Kind, Person, Turn

MANY = tuple(f"{letter}_breed_of_my_own_{number}" for letter in "abcz9" for number in range(80))


def run(
    command: str,
    text: str = "",
    *,
    memory: FakeMemory | None = None,
    knowledge: Knowledge = KNOWLEDGE,
    language: str = "en",
    chat_kind: ChatKind = ChatKind.PRIVATE,
    user_id: int = 1001,
) -> Turn:
    turn = answer(
        incoming(
            Kind.COMMAND, text, command=command, language=language, chat_kind=chat_kind,
            user_id=user_id,
        ),
        memory or FakeMemory(),
        knowledge,
    )  # fmt: skip
    for reply in turn.replies:
        check(reply)
    return turn


def said(turn: Turn) -> str:
    assert len(turn.replies) == 1
    return plain(str(turn.replies[0].arguments["text"]))


def labels(turn: Turn) -> list[str]:
    markup = turn.replies[0].arguments.get("reply_markup", {"inline_keyboard": []})
    assert isinstance(markup, dict)
    return re.findall(r"'text': '([^']*)'", str(markup))


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("chat_kind", [ChatKind.PRIVATE, ChatKind.GROUP])
@pytest.mark.parametrize("command", DESCRIPTIONS)
def test_every_command_answers_in_every_language(
    command: str, chat_kind: ChatKind, language: str
) -> None:
    turn = run(command, language=language, chat_kind=chat_kind)
    assert len(turn.replies) == 1
    if language != "en":
        assert said(turn) != said(run(command, chat_kind=chat_kind))


@pytest.mark.parametrize("chat_kind", [ChatKind.PRIVATE, ChatKind.GROUP])
def test_help_lists_the_commands_of_the_place(chat_kind: ChatKind) -> None:
    listed = re.findall(r"^/(\w+): ", said(run("help", chat_kind=chat_kind)), re.MULTILINE)
    assert tuple(listed) == (IN_PRIVATE if chat_kind == ChatKind.PRIVATE else IN_GROUPS)


def test_an_unknown_command_is_answered_in_private_and_left_to_others_in_a_group() -> None:
    assert said(run("ban")) == say("en", "talk.unknown_command")
    assert run("ban", chat_kind=ChatKind.GROUP) == Turn()


def test_figures_are_for_the_owner_in_private_and_unknown_to_others() -> None:
    assert said(run("stats")) == said(run("ban"))
    assert run("stats", chat_kind=ChatKind.GROUP) == Turn()
    text = said(run("stats", user_id=OWNER))
    assert "lite0-probe v7" in text
    assert "75%" in text
    assert "Beagle (21)" in text
    assert "Beagle" not in said(run("stats", user_id=OWNER, chat_kind=ChatKind.GROUP))


def test_figures_of_a_day_without_words_or_model() -> None:
    empty = FakeMemory(
        figures=Totals(people=0, photos_today=0, photos_week=0, right=0, wrong=0, unknown=0)
    )
    knowledge = replace(KNOWLEDGE, labels=(), model_name="", model_version=0)
    assert "%" not in said(run("stats", memory=empty, knowledge=knowledge, user_id=OWNER))


@pytest.mark.parametrize(("right", "wrong", "share"), [(0, 5, "0%"), (5, 0, "100%"), (1, 1, "50%")])
def test_counted_shares_may_be_nothing_or_all(right: int, wrong: int, share: str) -> None:
    figures = Totals(people=1, photos_today=1, photos_week=1, right=right, wrong=wrong, unknown=0)
    assert share in said(run("stats", memory=FakeMemory(figures=figures), user_id=OWNER))


@pytest.mark.parametrize("command", ["language", "privacy", "mydata", "forget"])
def test_what_concerns_one_person_is_not_told_to_a_group(command: str) -> None:
    memory = FakeMemory(mine=some_data(), people={1001: Person(consent=Consent.YES)})
    turn = run(command, memory=memory, chat_kind=ChatKind.GROUP)
    assert said(turn) == plain(say("en", "talk.private_only"))
    assert f"https://t.me/doggo_test_bot?start={command}" in str(turn.replies[0].arguments)
    assert turn.person is None
    # and the button leads to the same as the command
    assert run("start", command, memory=memory).replies == run(command, memory=memory).replies


def test_all_breeds_of_the_model_fit_one_message() -> None:
    turn = run("breeds")
    text = said(turn)
    assert utf16(text) <= 4096
    assert all(title(key) in text for key in BREEDS)
    assert labels(turn) == []
    assert text.index("Affenpinscher") < text.index("Beagle") < text.index("Yorkshire Terrier")


def test_breeds_with_a_letter_are_those_that_begin_with_it() -> None:
    text = said(run("breeds", "W"))
    assert "Whippet" in text
    assert "Beagle" not in text
    assert "Shih-Tzu" in said(run("breeds", "sh"))
    assert "Saluki" not in said(run("breeds", "sh"))
    assert said(run("breeds", "ж")) == plain(say("en", "breeds.none", letter="ж"))


def test_very_many_breeds_become_letters_to_choose_from() -> None:
    many = replace(KNOWLEDGE, labels=MANY)
    turn = run("breeds", knowledge=many)
    assert labels(turn) == ["9", "A", "B", "C", "Z"]
    first = said(run("breeds", "a", knowledge=many))
    assert "A Breed of My Own 7" in first
    assert "B Breed" not in first


def test_a_letter_with_too_many_breeds_says_that_there_are_others() -> None:
    many = replace(KNOWLEDGE, labels=tuple(f"a_breed_of_my_own_{n}" for n in range(900)))
    text = said(run("breeds", "a", knowledge=many))
    assert text.endswith(say("en", "breeds.more"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("beagle", "✓ I know Beagle."),
        ("Alsatian", "German Shepherd"),
        ("German Shepherd", "alsatian"),
        ("dalmatian", "I don't know “dalmatian”."),
        ("begle", "Did you mean: Beagle?"),
        ("", "/breed beagle"),
        ("比格犬", "Latin letters"),
        ("<b>&", "I don't know “<b>&”."),
        ("\u202ebeagle\ud800x", "I don't know “beaglex”."),
        ("x" * 90, "x" * 39 + "…”"),
        ("x" * 4000, "Latin letters"),
    ],
)
def test_a_breed_is_known_or_near_or_not(name: str, expected: str) -> None:
    assert expected in said(run("breed", name))


def test_a_breed_outside_the_model_is_heard_of() -> None:
    text = said(run("breed", "pug", knowledge=replace(KNOWLEDGE, labels=("beagle",))))
    assert "I have heard of Pug" in text


@pytest.mark.parametrize("command", ["breeds", "breed"])
def test_without_a_model_lists_say_so(command: str) -> None:
    text = said(run(command, "b", knowledge=replace(KNOWLEDGE, labels=())))
    assert text == say("en", "refusal.no_model")


def test_a_language_is_chosen_by_its_code_or_by_a_button() -> None:
    memory = FakeMemory()
    turn = memory.take(run("language", "DE", memory=memory))
    assert said(turn) == say("de", "language.done")
    assert memory.people[1001].language == "de"
    assert said(run("help", memory=memory)) == said(run("help", language="de"))
    assert "Deutsch" in labels(run("language", "klingon"))
    assert run("language", "klingon").person is None
    back = memory.take(run("language", "auto", memory=memory))
    assert memory.people[1001].language == ""
    assert said(back) == say("en", "language.automatic")


@pytest.mark.parametrize("consent", Consent)
def test_privacy_shows_the_present_choice(consent: Consent) -> None:
    memory = FakeMemory(people={1001: Person(consent=consent)})
    turn = run("privacy", memory=memory)
    key = "privacy.now_yes" if consent == Consent.YES else "privacy.now_no"
    assert said(turn).endswith(plain(say("en", key)))
    marked = [label[2:] for label in labels(turn) if label.startswith("✓ ")]
    chosen = "button.keep_photos" if consent == Consent.YES else "button.keep_none"
    assert marked == [say("en", chosen)]


@pytest.mark.parametrize("language", languages())
def test_privacy_names_the_terms(language: str) -> None:
    text = said(run("privacy", language=language))
    for fact in ("24", "7", "/mydata", "/forget"):
        assert fact in text


def test_my_data_shows_what_is_held() -> None:
    text = said(run("mydata", memory=FakeMemory(mine=some_data())))
    assert "Answers that I remember: 3" in text
    assert "2026-11-01" in text
    nothing = said(run("mydata", memory=FakeMemory(mine=MyData(predictions=0, feedback=0))))
    assert "First day: –" in nothing


def test_forget_asks_first() -> None:
    turn = run("forget")
    assert not turn.forget
    assert labels(turn) == [say("en", "button.erase"), say("en", "button.cancel")]


def test_menus_are_what_set_my_commands_takes() -> None:
    found = menus()
    assert len(found) == 2 * (1 + len(languages()))
    assert "language_code" not in found[0]
    for menu in found:
        if SPEC.exists():
            check_fields("setMyCommands", menu, spec()["methods"]["setMyCommands"])
        assert isinstance(menu["commands"], list)
        for command in menu["commands"]:
            assert isinstance(command, dict)
            assert re.fullmatch(r"[a-z0-9_]{1,32}", str(command["command"]))
            assert 1 <= len(str(command["description"])) <= 256


def test_replies_in_a_topic_of_a_group_stay_there() -> None:
    asked = incoming(Kind.COMMAND, command="dog", chat_kind=ChatKind.GROUP, thread_id=9)
    reply = answer(asked, FakeMemory(), KNOWLEDGE).replies[0]
    check(reply)
    assert reply.chat_id == GROUP
    assert reply.arguments["message_thread_id"] == 9
    assert reply.arguments["reply_parameters"] == {
        "message_id": 5,
        "allow_sending_without_reply": True,
    }
