"""The bot as a whole against a simulated Telegram: polling, serving, standing by, ending."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.botting import SECRET, WEBHOOK, Botting, Served, answers, stored
from tests.simulating import Simulating, wait_for
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.bot.service import AgreedPhoto
from doggo.core.errors import UsageError
from doggo.storage.updates import State
from doggo.telegram_sim.faults import Fault, Trouble


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture
def sim() -> Iterator[Simulating]:
    with Simulating(retry_factor=0.02) as running:
        yield running


@pytest.fixture
def bot(sim: Simulating, bundle: Path, tmp_path: Path) -> Iterator[Botting]:
    with Botting(sim, tmp_path / "home", bundle, tidy_s=0.1) as running:
        assert running.error is None
        yield running


def texts(sim: Simulating, chat: int) -> list[str]:
    return [one["text"] for one in answers(sim, chat)]


def done(bot: Botting, count: int = 1) -> bool:
    """Whether so many updates came and all are answered and delivered."""
    rows = bot.rows()
    return len(rows) >= count and {row.state for row in rows} == {State.DONE}


def test_a_photo_is_answered_and_forgotten(sim: Simulating, bot: Botting) -> None:
    user = sim.start_user()
    sim.telegram.people.send_photo(user, user, picture(COLOURS["beagle"]))
    wait_for(lambda: any("Beagle" in text for text in texts(sim, user)))
    wait_for(lambda: done(bot, 2))
    assert {(row.chat_id, row.payload) for row in bot.rows()} == {(None, None)}


def test_an_album_gets_one_answer_for_its_photos_in_order(sim: Simulating, bot: Botting) -> None:
    user = sim.start_user()
    wait_for(lambda: answers(sim, user))
    photos = [picture(COLOURS[breed]) for breed in ("pug", "beagle", "affenpinscher")]
    sim.telegram.people.send_album(user, user, photos)
    wait_for(lambda: done(bot, 4))
    [answer] = [text for text in texts(sim, user) if "Beagle" in text]
    places = [answer.index(name) for name in ("Pug", "Beagle", "Affenpinscher")]
    assert places == sorted(places)


def test_two_people_at_once_get_their_own(sim: Simulating, bot: Botting) -> None:
    wanted = dict(zip(COLOURS, [sim.start_user(name) for name in "ABC"], strict=True))
    for breed, user in wanted.items():
        sim.telegram.people.send_photo(user, user, picture(COLOURS[breed]))
    for breed, user in wanted.items():
        wait_for(lambda u=user, b=breed: any(f"{b.title()}." in text for text in texts(sim, u)))
        others = {one.title() for one in COLOURS} - {breed.title()}
        assert not [text for text in texts(sim, user) for one in others if f"{one}." in text]


def test_only_photos_of_people_who_agreed_reach_whoever_keeps_them(
    sim: Simulating, bundle: Path, tmp_path: Path
) -> None:
    kept: list[AgreedPhoto] = []

    async def keep(photo: AgreedPhoto) -> None:
        kept.append(photo)

    ada, bo = sim.start_user("Ada"), sim.start_user("Bo")
    with Botting(sim, tmp_path / "home", bundle, keep=keep) as bot:
        for user in (ada, bo):  # nobody was asked yet
            sim.telegram.people.send_photo(user, user, picture(COLOURS["pug"]))
        wait_for(lambda: all(len(answers(sim, user)) == 3 for user in (ada, bo)))
        for user, choice in ((ada, "yes"), (bo, "no")):
            question = answers(sim, user)[-1]["message_id"]
            sim.telegram.people.tap(user, user, question, f"1:consent:{choice}")
        wait_for(
            lambda: sum("edit_date" in one for one in answers(sim, ada) + answers(sim, bo)) == 2
        )
        for user in (ada, bo):
            sim.telegram.people.send_photo(user, user, picture(COLOURS["beagle"]))
        wait_for(lambda: all(len(answers(sim, user)) == 4 for user in (ada, bo)))
        wait_for(lambda: done(bot))
    [photo] = kept
    assert photo.prediction.breeds[0].breed == "beagle"
    assert photo.data[:2] == b"\xff\xd8"
    assert len(photo.person) == 64


def test_the_menu_is_shown_in_each_language(sim: Simulating, bot: Botting) -> None:
    wait_for(lambda: {key.language for key in sim.telegram.state.commands} >= {"", "de", "zh"})
    german = next(menu for key, menu in sim.telegram.state.commands.items() if key.language == "de")
    assert next(one for one in german if one["command"] == "help")["description"]


def test_it_goes_on_when_it_starts_again(sim: Simulating, bundle: Path, tmp_path: Path) -> None:
    """What waits in the outbox of a bot that ended is sent by the next one, once."""
    user = sim.telegram.people.add_user()["id"]
    with Botting(sim, tmp_path / "home", bundle) as first:
        sim.telegram.faults.add(
            Fault(trouble=Trouble.SERVER_ERROR, method="sendMessage", times=None)
        )
        sim.telegram.people.send_text(user, user, "/start")
        wait_for(lambda: any(row.state == State.ANSWERED for row in first.rows()))
        first.stop()
        assert not answers(sim, user)
    sim.telegram.faults.clear()
    with Botting(sim, tmp_path / "home", bundle) as second:
        wait_for(lambda: done(second))
    assert len(answers(sim, user)) == 1


def test_who_blocked_us_is_left_alone_until_they_come_back(sim: Simulating, bot: Botting) -> None:
    user = sim.start_user()
    wait_for(lambda: done(bot))
    sim.telegram.people.block(user)
    wait_for(lambda: done(bot, 2))
    sends = sim.telegram.counts["sendMessage"]
    sim.telegram.people.unblock(user)
    sim.telegram.people.send_text(user, user, "/help")
    wait_for(lambda: sim.telegram.counts["sendMessage"] > sends and done(bot, 4))
    assert "sendMessage 403" not in sim.telegram.counts


def test_a_token_that_is_refused_ends_it_with_a_line(
    sim: Simulating, bundle: Path, tmp_path: Path
) -> None:
    sim.telegram.token = "424242:another"  # noqa: S105
    with Botting(sim, tmp_path / "home", bundle) as bot:
        assert isinstance(bot.error, UsageError)
        assert "TELE_API_KEY" in str(bot.error)
    sim.telegram.token = "424242:of-the-tests"  # noqa: S105
    with Botting(sim, tmp_path / "home", bundle) as again:
        assert again.error is None, "the claim was not given back"


def test_a_telegram_that_is_away_at_first_is_waited_for(
    sim: Simulating, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.service.pause_s_after", lambda _: 0.05)
    for method in ("getMe", "deleteWebhook"):
        sim.telegram.faults.add(Fault(trouble=Trouble.SERVER_ERROR, method=method, times=2))
    with Botting(sim, tmp_path / "home", bundle) as bot:
        assert bot.error is None
        user = sim.start_user()
        wait_for(lambda: answers(sim, user))


def test_a_second_bot_with_the_same_database_says_who_is_there(
    sim: Simulating, bot: Botting, bundle: Path, tmp_path: Path
) -> None:
    with Botting(sim, tmp_path / "home", bundle) as second:
        assert isinstance(second.error, UsageError)
        assert "is the bot already" in str(second.error)
    user = sim.start_user()
    wait_for(lambda: answers(sim, user))


def test_polling_takes_the_webhook_away_and_loses_nothing(
    sim: Simulating, bundle: Path, tmp_path: Path
) -> None:
    sim.call("setWebhook", url="https://dogs.example.org/x").raise_for_status()
    user = sim.start_user()
    with Botting(sim, tmp_path / "home", bundle):
        wait_for(lambda: answers(sim, user))
    assert sim.telegram.hooks.current is None


def test_while_one_server_answers_the_other_takes_in_and_then_takes_over(
    sim: Simulating, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.service._CLAIM_S", 0.1)
    user = sim.telegram.people.add_user()["id"]
    first, second = (Served(sim, tmp_path / "home", bundle) for _ in range(2))
    with ExitStack() as stack:
        stack.enter_context(second.serving)  # whichever is first has the claim
        wait_for(second.is_ready)
        with first.serving:
            wait_for(first.is_ready)
            for served in (first, second, first):
                url = f"{served.serving.url}{WEBHOOK}"
                sim.call("setWebhook", url=url, secret_token=SECRET).raise_for_status()
                said = len(answers(sim, user))
                sim.telegram.people.send_text(user, user, "/help")
                wait_for(lambda n=said: len(answers(sim, user)) == n + 1)
        # One of them is gone; whoever is left answers.
        url = f"{second.serving.url}{WEBHOOK}"
        sim.call("setWebhook", url=url, secret_token=SECRET).raise_for_status()
        sim.telegram.people.send_text(user, user, "/help")
        wait_for(lambda: len(answers(sim, user)) == 4)
    rows = stored(tmp_path / "home" / "bot.db")
    assert {row.state for row in rows} == {State.DONE}


def test_the_one_that_stood_by_takes_over(
    sim: Simulating, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.bot.service._CLAIM_S", 0.1)
    user = sim.telegram.people.add_user()["id"]
    served = Served(sim, tmp_path / "home", bundle)
    with Botting(sim, tmp_path / "home", bundle) as polling, served.serving:
        wait_for(served.is_ready)
        sim.telegram.people.send_text(user, user, "/start")
        wait_for(lambda: answers(sim, user))
        polling.stop()
        url = f"{served.serving.url}{WEBHOOK}"
        sim.call("setWebhook", url=url, secret_token=SECRET).raise_for_status()
        began = time.monotonic()
        sim.telegram.people.send_text(user, user, "/help")
        wait_for(lambda: len(answers(sim, user)) == 2)
        assert time.monotonic() - began < 10
