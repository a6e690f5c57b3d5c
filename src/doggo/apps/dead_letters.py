"""Updates that were given up, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from doggo.storage import updates
from doggo.storage.journal import Journal
from doggo.storage.updates import DeadLetter


def try_again(journal: Journal, update_ids: Sequence[int]) -> int:
    """Let these updates wait again; returns how many could."""
    return journal.submit(partial(updates.retry, update_ids=list(update_ids))).result()


def letters_json(letters: Sequence[DeadLetter]) -> list[dict[str, object]]:
    """Return the letters as plain data."""
    return [
        {
            "update_id": one.update_id,
            "kind": one.kind,
            "received_at": _time(one),
            "attempts": one.attempts,
            "error": one.error,
            "can_retry": one.can_retry,
        }
        for one in letters
    ]


def letters_text(letters: Sequence[DeadLetter]) -> str:
    """Return a table, or a line that says that there is nothing."""
    if not letters:
        return "no dead letters: every update was answered"
    lines = [f"{'update':>12}  {'kind':<10} {'received':<20} {'tries':>5}  why"]
    lines += [
        f"{one.update_id:>12}  {one.kind:<10} {_time(one):<20} {one.attempts:>5}  {one.error}"
        for one in letters
    ]
    again = [one.update_id for one in letters if one.can_retry]
    if again:
        lines.append(f"try one again: doggo bot dead-letters --retry {again[0]}")
    return "\n".join(lines)


def _time(letter: DeadLetter) -> str:
    return f"{datetime.fromtimestamp(letter.received_at, UTC):%Y-%m-%d %H:%M:%SZ}"
