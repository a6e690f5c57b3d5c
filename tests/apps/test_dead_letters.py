"""`doggo bot dead-letters`: what was given up, why, and another try."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.commands import run_doggo

from doggo.apps.dead_letters import letters_json, letters_text, try_again
from doggo.storage import updates
from doggo.storage.engine import open_chat_database
from doggo.storage.journal import Journal
from doggo.storage.updates import KEEP_PAYLOAD_S, UpdateRow

NOW = time.time()


def journal_with(path: Path, *numbers: int, parked: int = 10**12) -> Journal:
    """A database with updates that wait, those up to `parked` given up."""
    journal = Journal(open_chat_database(f"sqlite:///{path}"))
    rows = [
        UpdateRow(update_id=n, kind="photo", chat_id=7, payload={"text": "x"}, received_at=NOW)
        for n in numbers
    ]
    journal.submit(lambda c: updates.store(c, rows)).result(10)
    gone = [n for n in numbers if n <= parked]
    journal.submit(lambda c: updates.park(c, gone, error="KeyError in a:1", now=NOW)).result(10)
    return journal


def test_the_table_says_what_why_and_how_to_try_again(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bot.db", 1, 2, 3, parked=2)
    text = letters_text(journal.submit(updates.dead_letters).result(10))
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ["2", "1"]
    assert "KeyError in a:1" in text
    assert "--retry 2" in text
    journal.close()


def test_one_that_is_tried_again_waits(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bot.db", 1, 2)
    assert try_again(journal, [1, 5]) == 1
    assert journal.submit(updates.count_waiting).result(10) == 1
    assert [one.update_id for one in journal.submit(updates.dead_letters).result(10)] == [2]
    journal.close()


def test_after_a_day_only_the_number_is_left(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bot.db", 1)
    journal.submit(lambda c: updates.forget_old(c, NOW + KEEP_PAYLOAD_S + 1)).result(10)
    letters = journal.submit(updates.dead_letters).result(10)
    assert [one["can_retry"] for one in letters_json(letters)] == [False]
    assert "--retry" not in letters_text(letters)
    assert try_again(journal, [1]) == 0
    journal.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    journal_with(tmp_path / "home" / "bot.db", 845120377).close()
    return tmp_path / "home"


def test_the_command_lists_tries_again_and_refuses(home: Path) -> None:
    listed = run_doggo(home, "bot", "dead-letters")
    assert listed.code == 0
    assert "845120377" in listed.out
    [letter] = run_doggo(home, "bot", "dead-letters", "--json").json()
    assert (letter["update_id"], letter["kind"], letter["can_retry"]) == (845120377, "photo", True)
    again = run_doggo(home, "bot", "dead-letters", "--retry", 845120377)
    assert again.code == 0
    assert "1 of 1" in again.err
    assert "no dead letters" in run_doggo(home, "bot", "dead-letters").out
    wrong = run_doggo(home, "bot", "dead-letters", "--retry", 5)
    assert wrong.code != 0
    assert "Traceback" not in wrong.err
