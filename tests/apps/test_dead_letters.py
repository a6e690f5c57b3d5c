"""`doggo bot dead-letters`: what was given up, and why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.commands import run_doggo

from doggo.apps.dead_letters import letters_json, letters_text
from doggo.storage import updates
from doggo.storage.engine import open_chat_database
from doggo.storage.journal import Journal
from doggo.storage.updates import UpdateRow

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


def test_the_table_says_what_and_why(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bot.db", 1, 2, 3, parked=2)
    text = letters_text(journal.submit(updates.dead_letters).result(10))
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ["2", "1"]
    assert "KeyError in a:1" in text
    journal.close()


def test_an_answered_inbox_has_none(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bot.db", 1, parked=0)
    letters = journal.submit(updates.dead_letters).result(10)
    assert letters_json(letters) == []
    assert "every update was answered" in letters_text(letters)
    journal.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    journal_with(tmp_path / "home" / "bot.db", 845120377).close()
    return tmp_path / "home"


def test_the_command_lists_them(home: Path) -> None:
    listed = run_doggo(home, "bot", "dead-letters")
    assert listed.code == 0
    assert "845120377" in listed.out
    [letter] = run_doggo(home, "bot", "dead-letters", "--json").json()
    assert (letter["update_id"], letter["kind"]) == (845120377, "photo")
    assert "KeyError" in letter["error"]
