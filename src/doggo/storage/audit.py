"""The audit: who moved `production` from what to what, and why. Append-only.

Owns one JSON object a move, created once and never written again, each with the hash of the
one before it. Knows nothing of bundles, and not which move counts: its caller names the last
one and its hash, and the history is the chain that starts there. Where a record is missing or is
not what was written, the history ends; the next record says so, and a new chain begins with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from doggo.core.errors import StorageError
from doggo.storage.buckets import Bucket
from doggo.storage.json_files import parse_json, to_bytes


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
        broken: what was wrong with the records before it; None: nothing.
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
    broken: str | None = None

    @property
    def record(self) -> bytes:
        """The record as it is written."""
        return to_bytes(self.to_json())

    @property
    def record_sha256(self) -> str:
        """What the record's successor, or the pointer, promises of it."""
        return hashlib.sha256(self.record).hexdigest()

    def to_json(self) -> dict[str, str | int | bool | None]:
        """Return the record as plain data; `broken` is there only where something was."""
        values = {**asdict(self), "action": self.action.value}
        if self.broken is None:
            del values["broken"]
        return values

    def cells(self) -> list[str]:
        """Return seq, at, actor, action, from, to and why as words, for a table."""
        action = f"{self.action.value} (forced)" if self.forced else self.action.value
        start = "-" if self.from_version is None else str(self.from_version)
        return [str(self.seq), self.at, self.actor, action, start, str(self.to_version), self.why]

    def rows(self) -> list[list[str]]:
        """Return `cells`, after a row for the gap if there is one before this move."""
        if self.broken is None:
            return [self.cells()]
        gap = ["", "", "", "gap", "", "", f"{self.broken}: what was before is not proven"]
        return [gap, self.cells()]

    def to_text(self) -> str:
        """Return one line for a person."""
        before = "nothing" if self.from_version is None else f"version {self.from_version}"
        return f"production moved from {before} to version {self.to_version}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The moves that are proven.

    Attributes:
        moves: oldest first. Before the first of them there was none, or its `broken` says why
            what was there is not proven.
        broken: what is wrong with the record before them, if no record says so yet.
    """

    moves: tuple[Move, ...] = ()
    broken: str | None = None

    def whole(self) -> tuple[Move, ...]:
        """Return the moves.

        Raises:
            StorageError: a record is missing, was altered, or does not fit its neighbours.
        """
        if self.broken is not None:
            raise StorageError(
                f"the audit is broken: {self.broken}; `doggo models promote VERSION` (also of the "
                "version in production) goes on with a record that says so, `doggo restore` puts "
                "a backup back"
            )
        return self.moves


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
        previous_sha256: str | None = None,
        broken: str | None = None,
    ) -> Move:
        """Create the record of a move that follows `previous_move`, and return it.

        Args:
            previous_sha256: what is promised of the record before it; None: nothing is, and what
                lies there is taken for it.

        Raises:
            StorageError: the disk refuses.
        """
        move = Move(
            seq=self._next_seq(previous_move),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=actor,
            action=action,
            from_version=from_version,
            to_version=to_version,
            sha256=sha256,
            why=why,
            forced=forced,
            previous_move=previous_move,
            previous_sha256=previous_sha256 or self._sha256(previous_move),
            broken=broken,
        )
        while not self.bucket.create(_key(move.seq), move.record):
            # Taken by a writer that does not see our lock, on a network disk.
            move = replace(move, seq=move.seq + 1)
        return move

    def history(self, last: int, sha256: str | None = None) -> History:
        """Return the moves up to number `last`.

        Args:
            sha256: what is promised of that record; None: nothing is.

        Raises:
            StorageError: the bucket refuses.
        """
        found: list[Move] = []
        seq: int | None = last
        promised, broken = sha256, None
        while seq is not None:
            move = self._read(seq, promised)
            if isinstance(move, str):
                broken = move
                break
            found.append(move)
            if move.broken is not None:
                break
            seq, promised = move.previous_move, move.previous_sha256
        return History(moves=tuple(reversed(found)), broken=broken)

    def _next_seq(self, previous_move: int | None) -> int:
        taken = [int(key.split("/")[1][:6]) for key in self.bucket.list("audit/")]
        return max(previous_move or 0, *taken, 0) + 1  # the one before may be missing

    def _sha256(self, seq: int | None) -> str | None:
        data = None if seq is None else self.bucket.find(_key(seq))
        return None if data is None else hashlib.sha256(data).hexdigest()

    def _read(self, seq: int, promised_sha256: str | None) -> Move | str:
        """Return a record, or what is wrong with it."""
        data = self.bucket.find(_key(seq))
        if data is None:
            return f"{_key(seq)} is missing"
        altered = f"{_key(seq)} is damaged or was altered"
        if promised_sha256 is not None and hashlib.sha256(data).hexdigest() != promised_sha256:
            return altered
        try:
            values = dict(parse_json(data, _key(seq)))
            values["action"] = Action(str(values["action"]))
            move = Move(**values)  # type: ignore[arg-type]  # its bytes are those that we wrote
        except (StorageError, KeyError, TypeError, ValueError):
            return altered
        goes_back = move.previous_move is None or move.previous_move < seq
        return move if move.seq == seq and goes_back else altered


def previous_version(moves: Sequence[Move]) -> int | None:
    """Return the version that a rollback goes to, or None.

    Promotions stack up and each rollback takes one off, so that repeated rollbacks walk back
    through everything that was in production, as far as that is proven.
    """
    stack = [
        move.from_version
        for move in moves[:1]
        if move.from_version is not None and move.action is not Action.ROLLBACK
    ]
    for move in moves:
        if move.action is Action.ROLLBACK and len(stack) > 1:
            stack.pop()
        elif stack[-1:] != [move.to_version]:  # a record that only mends the audit moves nothing
            stack.append(move.to_version)
    return stack[-2] if len(stack) > 1 else None


def _key(seq: int) -> str:
    return f"audit/{seq:06d}.json"
