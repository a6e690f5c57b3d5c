"""Whole turns: photos, taps, words, joining and leaving, and anything hostile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.bot.bot_api import SPEC, check, plain
from tests.bot.scenes import (
    BEAGLE,
    GROUP,
    IDS,
    KNOWLEDGE,
    LOOK_ALIKES,
    USER,
    FakeMemory,
    album,
    incoming,
    look,
    prediction,
)

from doggo.bot.callback import Tap, Verb, encode, tag
from doggo.bot.conversation import REMEMBERED, answer, answer_photos
from doggo.bot.texts import languages, say
from doggo.core.breeds import BREEDS
from doggo.core.chat import (
    ChatKind,
    Consent,
    Feedback,
    Incoming,
    Kind,
    Look,
    Method,
    Person,
    Refusal,
    Remembered,
    Reply,
    Turn,
)
from doggo.core.records import Verdict

UNSURE = prediction(LOOK_ALIKES, Verdict.UNSURE)
NO_DOG = prediction(verdict=Verdict.NOT_A_DOG)
CHATS = (ChatKind.PRIVATE, ChatKind.GROUP)


class Chat:
    """A person who chats: keeps the memory, checks every reply, taps buttons by their label."""

    def __init__(self, language: str = "en", chat_kind: ChatKind = ChatKind.PRIVATE) -> None:
        self.language = language
        self.chat_kind = chat_kind
        self.memory = FakeMemory(people={USER: Person(consent=Consent.NO)})
        self.knowledge = KNOWLEDGE
        self.buttons: list[Any] = []

    def photos(self, *looks: Look) -> Turn:
        return self._took(answer_photos(looks, self.memory, self.knowledge))

    def photo(self, outcome: Any, caption: str = "") -> Turn:
        return self.photos(look(outcome, caption, language=self.language, chat_kind=self.chat_kind))

    def says(self, kind: Kind, text: str = "", command: str = "") -> Turn:
        update = incoming(
            kind, text, command=command, language=self.language, chat_kind=self.chat_kind
        )
        return self._took(answer(update, self.memory, self.knowledge))

    def taps(self, label: str) -> Turn:
        data = [button["callback_data"] for button in self.buttons if button["text"] == label]
        assert len(data) == 1, f"{label} is not one of {self.labels}"
        return self.says(Kind.TAP, data[0])

    def taps_text(self, key: str) -> Turn:
        return self.taps(say(self.language, key))

    @property
    def labels(self) -> list[str]:
        return [button["text"] for button in self.buttons]

    def _took(self, turn: Turn) -> Turn:
        for reply in turn.replies:
            check(reply)
            if "reply_markup" in reply.arguments:
                markup: Any = reply.arguments["reply_markup"]
                self.buttons = [button for row in markup["inline_keyboard"] for button in row]
        return self.memory.take(turn)


def the(turn: Turn, method: Method) -> Reply:
    found = [reply for reply in turn.replies if reply.method == method]
    assert len(found) == 1, f"{len(found)} replies are {method}"
    return found[0]


@pytest.fixture(params=languages())
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_photo_is_answered_and_remembered_with_more_than_was_shown() -> None:
    turn = Chat().photo(prediction((*BEAGLE, ("pug", 0.001))))
    assert len(turn.replies) == 1
    assert turn.told == (
        Remembered(
            prediction_id=IDS[0],
            model_version=7,
            verdict="breed",
            breeds=tuple(key for key, _ in BEAGLE),
        ),
    )
    assert len(turn.told[0].breeds) == REMEMBERED
    assert turn.feedback == ()


@pytest.mark.parametrize("chat_kind", CHATS)
@pytest.mark.parametrize("outcome", [prediction(), UNSURE, NO_DOG, *Refusal], ids=str)
def test_every_outcome_in_every_language(outcome: Any, chat_kind: ChatKind, language: str) -> None:
    chat = Chat(language, chat_kind)
    turn = chat.photo(outcome)
    assert len(turn.replies) == 1
    assert bool(turn.told) == bool(chat.buttons) == (not isinstance(outcome, Refusal))


def test_a_refused_photo_is_answered_to_the_very_message() -> None:
    reply = Chat().photo(Refusal.BROKEN).replies[0]
    assert reply.arguments["reply_parameters"] == {
        "message_id": 5,
        "allow_sending_without_reply": True,
    }


def test_in_private_an_answer_needs_no_quote_and_in_a_group_it_does() -> None:
    assert "reply_parameters" not in Chat().photo(prediction()).replies[0].arguments
    group = Chat(chat_kind=ChatKind.GROUP)
    asked = look(prediction(), chat_kind=ChatKind.GROUP, thread_id=3, message_id=8)
    arguments = group.photos(asked).replies[0].arguments
    assert arguments["chat_id"] == GROUP
    assert arguments["message_thread_id"] == 3
    assert arguments["reply_parameters"] == {
        "message_id": 8,
        "allow_sending_without_reply": True,
    }


def test_right_is_feedback_for_the_best_breed(language: str) -> None:
    chat = Chat(language)
    chat.photo(prediction())
    turn = chat.taps_text("button.right")
    assert turn.feedback == (Feedback(prediction_id=IDS[0], breed="beagle", source="tap"),)
    toast = the(turn, Method.ANSWER_TAP).arguments["text"]
    assert toast == say(language, "toast.noted", breed="Beagle")
    assert chat.labels == [say(language, "button.thanks", breed="Beagle")]


def test_wrong_leads_to_the_next_breeds_and_back(language: str) -> None:
    chat = Chat(language)
    chat.photo(prediction())
    first = chat.labels
    assert chat.taps_text("button.wrong").feedback == ()
    assert set(chat.labels) == {
        "English Foxhound", "Walker Hound", "Basset", "Bluetick",
        say(language, "button.search"), say(language, "button.unknown"),
        say(language, "button.back"),
    }  # fmt: skip
    chat.taps_text("button.back")
    assert chat.labels == first
    chat.taps_text("button.wrong")
    turn = chat.taps("Basset")
    assert turn.feedback == (Feedback(prediction_id=IDS[0], breed="basset", source="tap"),)


def test_the_search_button_types_a_query_about_this_photo() -> None:
    chat = Chat()
    chat.photo(prediction())
    chat.taps_text("button.wrong")
    typed = [button.get("switch_inline_query_current_chat") for button in chat.buttons]
    assert f"is {tag(IDS[0])} " in typed


def test_without_inline_mode_there_is_no_search_button() -> None:
    chat = Chat()
    chat.knowledge = replace(KNOWLEDGE, searchable=False)
    chat.photo(prediction())
    chat.taps_text("button.wrong")
    assert say("en", "button.search") not in chat.labels


def test_not_knowing_is_feedback_too_and_can_be_taken_back() -> None:
    chat = Chat()
    chat.photo(UNSURE)
    turn = chat.taps_text("button.unknown")
    assert turn.feedback == (Feedback(prediction_id=IDS[0], breed=None, source="tap"),)
    chat.taps_text("button.thanks_unknown")
    assert say("en", "button.right") in chat.labels


def test_what_is_no_dog_can_be_said_to_be_one_and_then_every_breed_is_offered() -> None:
    chat = Chat()
    chat.photo(NO_DOG)
    assert chat.labels == [say("en", "button.is_a_dog"), say("en", "button.unknown")]
    assert chat.taps_text("button.is_a_dog").feedback == ()
    assert chat.taps("Beagle").feedback[0].breed == "beagle"


def test_nobody_can_call_an_answer_right_that_named_no_breed() -> None:
    chat = Chat()
    chat.photo(NO_DOG)
    turn = chat.says(Kind.TAP, encode(Tap(verb=Verb.RIGHT, prediction_id=IDS[0])))
    assert turn.feedback == ()


def test_a_caption_is_feedback_and_settles_the_question() -> None:
    chat = Chat()
    turn = chat.photo(prediction(), "Pug")
    assert turn.feedback == (Feedback(prediction_id=IDS[0], breed="pug", source="caption"),)
    assert chat.labels == [say("en", "button.thanks", breed="Pug")]
    assert Chat().photo(Refusal.BUSY, "Pug").feedback == ()


def test_an_album_is_answered_once_and_each_photo_has_its_question(language: str) -> None:
    chat = Chat(language)
    turn = chat.photos(*album(language))
    assert the(turn, Method.SEND_MESSAGE).arguments["reply_parameters"] == {
        "message_id": 5,
        "allow_sending_without_reply": True,
    }
    assert {one.album for one in turn.told} == {(IDS[0], IDS[1], "", IDS[2], "")}
    assert chat.labels == ["1", "2", "4"]
    chat.taps("2")
    photo = say(language, "button.photo", number=2, breed="Soft-coated Wheaten Terrier")
    assert chat.labels[0] == photo
    chat.taps_text("button.wrong")
    turn = chat.taps("Irish Terrier")
    assert turn.feedback == (Feedback(prediction_id=IDS[1], breed="irish_terrier", source="tap"),)
    assert chat.labels == [say(language, "button.thanks", breed="Irish Terrier"), "1", "2", "4"]
    chat.taps("4")
    no_dog = say(language, "word.no_dog")
    chat.taps(say(language, "button.photo", number=4, breed=no_dog))
    assert chat.labels == ["1", "2", "4"]


def test_an_album_without_any_prediction_asks_nothing() -> None:
    chat = Chat()
    turn = chat.photos(look(Refusal.BROKEN), look(Refusal.TOO_BIG))
    assert (turn.told, chat.buttons) == ((), [])


def test_captions_of_an_album_belong_to_their_photos() -> None:
    turn = Chat().photos(look(prediction()), look(prediction(number=1), "pug"))
    assert turn.feedback == (Feedback(prediction_id=IDS[1], breed="pug", source="caption"),)


def test_in_a_group_one_members_answer_leaves_the_question_to_the_others() -> None:
    chat = Chat(chat_kind=ChatKind.GROUP)
    chat.photo(prediction())
    first = chat.labels
    turn = chat.taps_text("button.right")
    assert turn.feedback[0].breed == "beagle"
    assert chat.labels == first


@pytest.mark.parametrize("verb", [Verb.RIGHT, Verb.WRONG, Verb.UNKNOWN, Verb.ASK, Verb.NUMBERS])
def test_a_tap_on_a_forgotten_photo_is_told_so(verb: Verb, language: str) -> None:
    turn = Chat(language).says(Kind.TAP, encode(Tap(verb=verb, prediction_id=IDS[9])))
    assert [reply.method for reply in turn.replies] == [Method.ANSWER_TAP]
    assert turn.replies[0].arguments["text"] == say(language, "toast.too_old")


def test_a_place_that_was_not_offered_is_no_feedback() -> None:
    chat = Chat()
    chat.photo(UNSURE)
    turn = chat.says(Kind.TAP, encode(Tap(verb=Verb.PICK, prediction_id=IDS[0], place=9)))
    assert turn.feedback == ()
    assert turn.replies[0].arguments["text"] == say("en", "toast.old_button")


def test_a_message_that_can_no_longer_be_edited_is_left_alone() -> None:
    chat = Chat()
    chat.photo(prediction())
    data = encode(Tap(verb=Verb.RIGHT, prediction_id=IDS[0]))
    turn = answer(incoming(Kind.TAP, data, message_id=0), chat.memory, KNOWLEDGE)
    assert [reply.method for reply in turn.replies] == [Method.ANSWER_TAP]
    assert turn.feedback


def test_consent_is_asked_once_after_the_first_answer(language: str) -> None:
    chat = Chat(language)
    chat.memory.people.clear()
    assert chat.photo(Refusal.BUSY).person is None
    turn = chat.photo(prediction())
    assert [plain(str(reply.arguments["text"])) for reply in turn.replies][1] == plain(
        say(language, "consent.ask")
    )
    assert chat.memory.people[USER].consent == Consent.ASKED
    assert len(chat.photo(prediction(number=1)).replies) == 1


@pytest.mark.parametrize(
    ("key", "consent", "words"),
    [
        ("button.keep_photos", Consent.YES, "consent.yes"),
        ("button.keep_none", Consent.NO, "consent.no"),
    ],
)
def test_the_answer_to_the_question_is_kept(key: str, consent: Consent, words: str) -> None:
    chat = Chat()
    chat.memory.people.clear()
    chat.photo(prediction())
    turn = chat.taps_text(key)
    assert chat.memory.people[USER].consent == consent
    assert the(turn, Method.EDIT_TEXT).arguments["text"] == say("en", words)
    assert "reply_markup" not in the(turn, Method.EDIT_TEXT).arguments


def test_consent_can_be_changed_in_privacy() -> None:
    chat = Chat()
    chat.says(Kind.COMMAND, command="privacy")
    turn = chat.taps_text("button.keep_photos")
    assert chat.memory.people[USER].consent == Consent.YES
    assert say("en", "privacy.now_yes") in str(the(turn, Method.EDIT_TEXT).arguments["text"])
    chat.taps_text("button.keep_none")
    assert chat.memory.people[USER].consent == Consent.NO


def test_a_group_is_not_asked_for_consent_and_does_not_see_anybodys() -> None:
    chat = Chat(chat_kind=ChatKind.GROUP)
    chat.memory.people.clear()
    turn = chat.photo(prediction())
    assert (len(turn.replies), turn.person) == (1, None)
    turn = chat.says(Kind.TAP, encode(Tap(verb=Verb.PRIVACY, word="yes")))
    assert [reply.method for reply in turn.replies] == [Method.ANSWER_TAP]


def test_a_language_chosen_by_a_button_is_spoken_at_once() -> None:
    chat = Chat()
    chat.says(Kind.COMMAND, command="language")
    turn = chat.taps("Русский")
    assert the(turn, Method.EDIT_TEXT).arguments["text"] == say("ru", "language.done")
    assert chat.memory.people[USER].language == "ru"
    assert "уверен" in str(chat.photo(prediction()).replies[0].arguments["text"])


def test_forgetting_needs_a_yes(language: str) -> None:
    chat = Chat(language)
    chat.says(Kind.COMMAND, command="forget")
    asked = list(chat.buttons)
    assert not chat.taps_text("button.cancel").forget
    chat.buttons = asked
    turn = chat.taps_text("button.erase")
    assert turn.forget
    assert turn.person is None
    assert the(turn, Method.EDIT_TEXT).arguments["text"] == say(language, "forget.done")


def test_letters_lead_from_one_to_another() -> None:
    chat = Chat()
    chat.knowledge = replace(KNOWLEDGE, labels=tuple(f"{c}_{n}" for c in "ab" for n in range(900)))
    chat.says(Kind.COMMAND, command="breeds")
    chat.taps("A")
    turn = chat.taps("B")
    assert str(the(turn, Method.EDIT_TEXT).arguments["text"]).startswith("B 0, B 1, ")


def test_idle_words_are_met_with_one_line(language: str) -> None:
    turn = Chat(language).says(Kind.TEXT, "")
    assert turn.replies[0].arguments["text"] == say(language, "talk.how")
    group = Chat(language, ChatKind.GROUP).says(Kind.TEXT, "")
    assert "/dog" in str(group.replies[0].arguments["text"])


def test_what_is_no_picture_is_answered(language: str) -> None:
    turn = Chat(language).says(Kind.UNFIT)
    assert turn.replies[0].arguments["text"] == say(language, "talk.unfit")


def test_a_breed_shown_to_a_group_is_left_alone() -> None:
    assert Chat(chat_kind=ChatKind.GROUP).says(Kind.TEXT, "🐶 Pug\nWhich breed ...") == Turn()


def test_blocking_is_noted_and_writing_again_clears_it() -> None:
    chat = Chat()
    assert chat.says(Kind.LEFT).replies == ()
    assert chat.memory.people[USER].blocked
    chat.says(Kind.JOINED)
    assert not chat.memory.people[USER].blocked
    chat.says(Kind.LEFT)
    chat.photo(prediction())
    assert not chat.memory.people[USER].blocked


def test_a_group_that_removes_the_bot_blocks_nobody_and_one_that_takes_it_in_is_greeted() -> None:
    chat = Chat(chat_kind=ChatKind.GROUP)
    assert chat.says(Kind.LEFT) == Turn()
    assert "@doggo_test_bot" in str(chat.says(Kind.JOINED).replies[0].arguments["text"])


def test_the_description_of_the_bot_api_is_used_where_it_is() -> None:
    if not SPEC.exists():
        pytest.skip("../shared/telegram is not here: replies were checked without its types")
    with pytest.raises(AssertionError):
        check(Reply(method=Method.SEND_MESSAGE, chat_id=1, arguments={"chat_id": 1, "txt": "a"}))


ANY_TEXT = st.text(max_size=300)
ANY_KEY = st.sampled_from(BREEDS) | st.from_regex(r"[a-z0-9][a-z0-9_]{0,99}", fullmatch=True)
ANY_PREDICTION = st.builds(
    lambda breeds, verdict, identity: replace(
        prediction(breeds, verdict), prediction_id=identity.hex
    ),
    st.lists(st.tuples(ANY_KEY, st.floats(0, 1)), min_size=1, max_size=10),
    st.sampled_from(Verdict),
    st.uuids(version=4),
)
ANY_LANGUAGE = st.sampled_from([*languages(), "", "xx-yy"])
ANY_LOOK = st.builds(
    look,
    ANY_PREDICTION | st.sampled_from(Refusal),
    ANY_TEXT | st.sampled_from(["beagle", "#pug", "<b>", "&"]),
    language=ANY_LANGUAGE,
    chat_kind=st.sampled_from(CHATS),
)
ANY_DATA = ANY_TEXT | st.builds(
    lambda verb, rest: f"1:{verb}:{rest}",
    st.sampled_from([verb.value for verb in Verb]),
    st.sampled_from([tag(one) for one in IDS[:3]] + ["yes", "no", "a", "de", "auto"])
    | st.from_regex(rf"{tag(IDS[0])}:[0-9]", fullmatch=True)
    | st.text(max_size=30),
)
ANY_UPDATE = st.builds(
    incoming,
    st.sampled_from([kind for kind in Kind if kind != Kind.PHOTO]),
    ANY_TEXT
    | ANY_DATA
    | st.builds(lambda text: f"is {tag(IDS[0])} {text}", ANY_TEXT)
    | st.builds(lambda text: f"🐶 {text}\n📷 {tag(IDS[0])}", ANY_TEXT | ANY_KEY),
    command=st.sampled_from(["start", "help", "breeds", "breed", "language", "privacy", "mydata",
        "forget", "stats", "dog"]) | ANY_TEXT,
    language=ANY_LANGUAGE | ANY_TEXT,
    chat_kind=st.sampled_from(CHATS),
    user_id=st.sampled_from([USER, 77]),
    message_id=st.sampled_from([0, 5]),
)  # fmt: skip
QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)


@QUIET
@given(st.lists(ANY_LOOK, min_size=1, max_size=12), st.sampled_from(Consent))
def test_any_photos_give_replies_that_telegram_takes(looks: list[Look], consent: Consent) -> None:
    memory = FakeMemory(people={USER: Person(consent=consent)})
    turn = answer_photos(looks, memory, KNOWLEDGE)
    assert turn.replies
    for reply in turn.replies:
        check(reply)
    known = {one.prediction_id for one in turn.told}
    assert {given.prediction_id for given in turn.feedback} <= known
    memory.take(turn)
    for one in turn.told:
        for verb in (Verb.ASK, Verb.WRONG, Verb.RIGHT, Verb.NUMBERS):
            data = encode(Tap(verb=verb, prediction_id=one.prediction_id))
            for reply in answer(incoming(Kind.TAP, data), memory, KNOWLEDGE).replies:
                check(reply)


@QUIET
@given(ANY_UPDATE, st.sampled_from([KNOWLEDGE, replace(KNOWLEDGE, labels=())]))
def test_any_update_gives_replies_that_telegram_takes(update: Incoming, knowledge: Any) -> None:
    memory = FakeMemory()
    memory.take(answer_photos(album(), memory, KNOWLEDGE))
    turn = answer(update, memory, knowledge)
    for reply in turn.replies:
        check(reply)
    assert {given.breed for given in turn.feedback} <= {None, *BREEDS}
    if update.kind == Kind.TAP:
        the(turn, Method.ANSWER_TAP)
    if update.kind == Kind.SEARCH:
        the(turn, Method.ANSWER_SEARCH)
