"""The doctor's look at the bot: what Telegram says, what is stuck, and how to mend it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulating import TOKEN, Simulating

from doggo.apps import bot_check
from doggo.apps.finding import Finding, Level
from doggo.settings import Settings
from doggo.storage import updates
from doggo.storage.engine import open_chat_database
from doggo.storage.updates import UpdateRow


@pytest.fixture
def sim() -> Iterator[Simulating]:
    with Simulating() as running:
        yield running


def settings(home: Path, **given: object) -> Settings:
    return Settings(_env_file=None, home=home, **given)  # type: ignore[call-arg,arg-type]


def asked(sim: Simulating, home: Path, token: str = TOKEN) -> list[Finding]:
    return list(bot_check.telegram(settings(home, tele_api_key=token, telegram_url=sim.url)))


def test_without_a_token_there_is_no_bot_and_that_is_fine(tmp_path: Path) -> None:
    [finding] = bot_check.telegram(settings(tmp_path))
    assert finding.level is Level.OK
    assert "TELE_API_KEY" in finding.detail


def test_a_good_token_tells_the_name(sim: Simulating, tmp_path: Path) -> None:
    [finding] = asked(sim, tmp_path)
    assert finding.level is Level.OK
    assert "@doggo_rehearsal_bot" in finding.detail
    assert TOKEN not in finding.detail


@pytest.mark.parametrize("token", ["424242:wrong", "nonsense"])
def test_a_wrong_token_says_where_to_get_one(sim: Simulating, tmp_path: Path, token: str) -> None:
    [finding] = asked(sim, tmp_path, token)
    assert finding.level is Level.FAIL
    assert "@BotFather" in finding.mend
    assert token not in finding.detail + finding.mend


def test_a_telegram_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    away = settings(tmp_path, tele_api_key=TOKEN, telegram_url="http://127.0.0.1:9")
    [finding] = bot_check.telegram(away)
    assert finding.level is Level.FAIL
    assert "HTTPS_PROXY" in finding.mend


def test_a_webhook_that_fails_is_shown(sim: Simulating, tmp_path: Path) -> None:
    sim.call("setWebhook", url="https://dogs.example.org/telegram/webhook")
    hook = sim.telegram.hooks.current
    assert hook is not None
    hook.last_error, hook.last_error_date = "Connection refused", int(time.time())
    known, broken = asked(sim, tmp_path)
    assert "https://dogs.example.org/telegram/webhook" in known.detail
    assert broken.level is Level.WARN
    assert "Connection refused" in broken.detail
    assert "doggo bot run" in broken.mend


def test_inline_mode_that_is_off_says_how_to_turn_it_on(sim: Simulating, tmp_path: Path) -> None:
    sim.telegram.state.bot["supports_inline_queries"] = False
    assert any("/setinline" in finding.mend for finding in asked(sim, tmp_path))


def test_it_makes_no_database(tmp_path: Path) -> None:
    [finding] = bot_check.dead_letters(settings(tmp_path / "home"))
    assert (finding.level, finding.detail) == (Level.OK, "no update came yet")
    assert not (tmp_path / "home").exists()


def test_dead_letters_are_counted(tmp_path: Path) -> None:
    here = settings(tmp_path)
    engine = open_chat_database(here.bot_database_url)
    row = UpdateRow(update_id=1, kind="photo", chat_id=7, payload={}, received_at=time.time())
    with engine.begin() as connection:
        updates.store(connection, [row])
    [finding] = bot_check.dead_letters(here)
    assert (finding.level, "1 updates wait" in finding.detail) == (Level.OK, True)
    with engine.begin() as connection:
        updates.park(connection, [1], error="KeyError in x:1", now=time.time())
    [finding] = bot_check.dead_letters(here)
    assert finding.level is Level.WARN
    assert "doggo bot dead-letters" in finding.mend
    engine.dispose()
