"""From Telegram's JSON to rows and back, and what is told meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from doggo.bot.inbox import Inbox, from_payload, to_payload
from doggo.bot.incoming import BotName
from doggo.core.chat import ChatKind, FileRef, Incoming, Kind, Preview
from doggo.core.errors import StorageError
from doggo.storage.engine import open_chat_database, updates_table
from doggo.storage.journal import Journal

ME = BotName(bot_id=42, username="doggo_bot")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}"))
    yield opened
    opened.close()


def text(update_id: int, words: str = "hello", user: int = 7) -> dict[str, Any]:
    return {
        "update_id": update_id,
        "message": {
            "message_id": 1,
            "date": 1,
            "chat": {"id": user, "type": "private", "first_name": "Ada"},
            "from": {"id": user, "is_bot": False, "first_name": "Ada"},
            "text": words,
        },
    }


class Told:
    """An inbox that notes what it tells."""

    def __init__(self, journal: Journal) -> None:
        self.news, self.kinds = 0, list[str]()
        self.journal = journal

    def take(self, *raws: object) -> int:
        async def once() -> int:
            inbox = Inbox(self.journal, ME, on_new=self._new, count=self.kinds.append)
            return await inbox.take(raws)

        return asyncio.run(once())

    def _new(self, first: int) -> None:
        self.news += 1

    def rows(self) -> list[Any]:
        query = select(updates_table).order_by(updates_table.c.update_id)
        return self.journal.submit(lambda c: list(c.execute(query))).result(10)


def test_only_new_updates_count(journal: Journal) -> None:
    told = Told(journal)
    assert told.take(text(1), text(2), text(1)) == 2
    assert told.take(text(2), text(3)) == 1
    assert told.take(text(1)) == 0
    assert told.kinds == ["text"] * 3
    assert told.news == 2, "a repetition is no news"


def test_what_asks_nothing_is_recorded_by_its_number_alone(journal: Journal) -> None:
    told = Told(journal)
    assert told.take({"update_id": 5, "poll": {"question": "secret"}}, {"update_id": 6}) == 2
    assert told.news == 0
    assert [(row.state, row.chat_id, row.payload) for row in told.rows()] == [
        ("done", None, None)
    ] * 2


@pytest.mark.parametrize("raw", [None, 1, "x", [], {}, {"update_id": "1"}, {"update_id": -4}])
def test_what_has_no_number_is_counted_and_does_not_hold_up_others(
    journal: Journal, raw: object
) -> None:
    told = Told(journal)
    assert told.take(raw, text(9)) == 1
    assert told.kinds == ["no_number", "text"]
    assert told.take(raw) == 0


def test_of_a_message_no_name_and_no_idle_word_is_stored(journal: Journal) -> None:
    told = Told(journal)
    told.take(text(1, "my dog's secret"))
    [row] = told.rows()
    assert "secret" not in str(row.payload)
    assert "Ada" not in str(row.payload)


def test_a_row_gives_back_what_was_stored() -> None:
    incoming = Incoming(
        update_id=1,
        kind=Kind.PHOTO,
        chat_id=-100,
        chat_kind=ChatKind.GROUP,
        user_id=7,
        language="pt-br",
        message_id=3,
        thread_id=9,
        file=FileRef(file_id="f", size_bytes=5, preview=Preview.MOTION),
        album="a",
        text="beagle\nüñ🐾",
        sent_at=1_700_000_000,
    )
    assert from_payload(to_payload(incoming)) == incoming


@pytest.mark.parametrize("payload", [{}, {"update_id": 1}, {"kind": "of a later version"}])
def test_a_row_that_was_not_written_here_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        from_payload(payload)


def test_a_refusing_database_is_told_and_nothing_counts(journal: Journal) -> None:
    told = Told(journal)
    journal.close()
    with pytest.raises(StorageError):
        told.take(text(1))
    assert told.kinds == []
    assert told.news == 0
