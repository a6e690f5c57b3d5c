"""An answer becomes true once, even if its commit could not be confirmed."""

from __future__ import annotations

import time
from pathlib import Path

from doggo.bot.inbox import to_payload
from doggo.bot.scene import Knowledge
from doggo.bot.turns import Turns
from doggo.core.chat import ChatKind, Incoming, Kind
from doggo.storage import replies, updates
from doggo.storage.engine import open_chat_database
from doggo.storage.people import Pseudonyms
from doggo.storage.updates import UpdateRow

ASKED = Incoming(
    update_id=7,
    kind=Kind.COMMAND,
    chat_id=1,
    chat_kind=ChatKind.PRIVATE,
    user_id=1,
    command="help",
)


def test_what_was_answered_is_not_answered_again(tmp_path: Path) -> None:
    engine = open_chat_database(f"sqlite:///{tmp_path / 'bot.db'}")
    turns = Turns(Pseudonyms("00" * 32), lambda: Knowledge(labels=("beagle",), username="bot"))
    row = UpdateRow(
        update_id=7, kind="command", chat_id=1, payload=to_payload(ASKED), received_at=time.time()
    )
    with engine.begin() as connection:
        updates.store(connection, [row])
        first = turns.finish(connection, [ASKED], [])
        again = turns.finish(connection, [ASKED], [])
        assert len(first) == 1
        assert again == first  # to be sent: the sender may never have heard of it
        assert replies.waiting(connection, above=0, limit=9) == first
        replies.sent(connection, first[0], time.time())
        assert turns.finish(connection, [ASKED], []) == []
    engine.dispose()
