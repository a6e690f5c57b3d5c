"""The audit: who moved `production` from what to what, and why. Append-only.

Owns one JSON object a move, created once and never written again, each with the hash of the
one before it. Knows nothing of bundles, and not which move counts: its caller names the last
one, and the history is the chain that starts there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from doggo.storage.buckets import Bucket
from doggo.storage.json_files import damaged, parse_json, to_bytes


class Action(StrEnum):
    """How `production` came to move."""

    BOOTSTRAP = "bootstrap"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One move of `production`: an audit record.

    Attributes:
        at: UTC, ISO 8601.
        from_version: what was in production before; None for the first.
        sha256: identity of the bundle moved to.
        forced: the gate refused and was overruled.
        previous_move, previous_sha256: the record before it and its hash, None for the first.
    """

    seq: int
    at: str
    actor: str
    action: Action
    from_version: int | None
    to_version: int
    sha256: str
    why: str
    forced: bool
    previous_move: int | None
    previous_sha256: str | None

    def to_json(self) -> dict[str, str | int | bool | None]:
        """Return the record as plain data."""
        return {**asdict(self), "action": self.action.value}

    def cells(self) -> list[str]:
        """Return seq, at, actor, action, from, to and why as words, for a table."""
        action = f"{self.action.value} (forced)" if self.forced else self.action.value
        start = "-" if self.from_version is None else str(self.from_version)
        return [str(self.seq), self.at, self.actor, action, start, str(self.to_version), self.why]

    def to_text(self) -> str:
        """Return one line for a person."""
        before = "nothing" if self.from_version is None else f"version {self.from_version}"
        return f"production moved from {before} to version {self.to_version}: {self.why}"


class Audit:
    """The records under `audit/` in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def append(
        self,
        *,
        actor: str,
        action: Action,
        from_version: int | None,
        to_version: int,
        sha256: str,
        why: str,
        forced: bool,
        previous_move: int | None,
    ) -> Move:
        """Create the record of a move that follows `previous_move`, and return it.

        Raises:
            StorageError: the disk refuses.
        """
        move = Move(
            seq=self._next_seq(),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=actor,
            action=action,
            from_version=from_version,
            to_version=to_version,
            sha256=sha256,
            why=why,
            forced=forced,
            previous_move=previous_move,
            previous_sha256=None if previous_move is None else self._sha256(previous_move),
        )
        while not self.bucket.create(_key(move.seq), to_bytes(move.to_json())):
            # Taken by a writer that does not see our lock, on a network disk.
            move = replace(move, seq=move.seq + 1)
        return move

    def chain(self, last: int) -> tuple[Move, ...]:
        """Return the moves up to number `last`, oldest first.

        Raises:
            StorageError: a record is missing, was altered, or does not fit its neighbours.
        """
        found: list[Move] = []
        seq: int | None = last
        promised = None
        while seq is not None:
            move = self._read(seq, promised)
            found.append(move)
            if move.previous_move is not None and move.previous_move >= seq:
                raise damaged(self.bucket.shown(_key(seq)))
            seq, promised = move.previous_move, move.previous_sha256
        return tuple(reversed(found))

    def _next_seq(self) -> int:
        taken = [int(key.split("/")[1][:6]) for key in self.bucket.list("audit/")]
        return max(taken, default=0) + 1

    def _sha256(self, seq: int) -> str:
        return hashlib.sha256(self.bucket.read(_key(seq))).hexdigest()

    def _read(self, seq: int, promised_sha256: str | None) -> Move:
        shown = self.bucket.shown(_key(seq))
        data = self.bucket.read(_key(seq))
        if promised_sha256 is not None and hashlib.sha256(data).hexdigest() != promised_sha256:
            raise damaged(shown)
        values = dict(parse_json(data, shown))
        try:
            values["action"] = Action(str(values["action"]))
            move = Move(**values)  # type: ignore[arg-type]  # its bytes are those that we wrote
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(shown) from error
        if move.seq != seq:
            raise damaged(shown)
        return move


def previous_version(moves: Sequence[Move]) -> int | None:
    """Return the version that a rollback goes to, or None.

    Promotions stack up and each rollback takes one off, so that repeated rollbacks walk back
    through everything that was in production.
    """
    stack: list[int] = []
    for move in moves:
        if move.action is Action.ROLLBACK and len(stack) > 1:
            stack.pop()
        else:
            stack.append(move.to_version)
    return stack[-2] if len(stack) > 1 else None


def _key(seq: int) -> str:
    return f"audit/{seq:06d}.json"
