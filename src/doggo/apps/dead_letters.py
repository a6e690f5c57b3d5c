"""Updates that were given up, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from doggo.storage.updates import DeadLetter


def letters_json(letters: Sequence[DeadLetter]) -> list[dict[str, object]]:
    """Return the letters as plain data."""
    return [
        {
            "update_id": one.update_id,
            "kind": one.kind,
            "received_at": _time(one),
            "attempts": one.attempts,
            "error": one.error,
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
    return "\n".join(lines)


def _time(letter: DeadLetter) -> str:
    return f"{datetime.fromtimestamp(letter.received_at, UTC):%Y-%m-%d %H:%M:%SZ}"
