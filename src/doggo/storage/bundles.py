"""The bundle store: immutable versions, the production pointer, and who moved it.

    versions/v0001/...   a sealed bundle and its card; visible only once it is whole
    audit/000001.json    one object a move, created once, each naming the one before it
    production           {version, sha256, move}: the truth, written last

Owns the layout and its atomicity. Knows nothing of gates, runtimes or metrics. The pointer
names its move, so the history is the chain that starts there: the record of a move that was
killed before it reached the pointer is on no chain, and a reader never sees it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from doggo.core.errors import BundleError, StorageError, UsageError
from doggo.storage.buckets import Bucket, explain_os_error, fsync_folder
from doggo.storage.disk import need_disk
from doggo.vision.bundle import BUNDLE_FILE, CARD_FILE, FILES, bundle_sha256, read_bundle

POINTER = "production"
_STAGED = ".tmp-"
_LOCK_TIMEOUT_S = 300.0

Json = Mapping[str, object]


class Action(StrEnum):
    """How `production` came to move."""

    BOOTSTRAP = "bootstrap"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """What is in production.

    Attributes:
        sha256: identity of its bundle.
        move: sequence number of the audit record that put it there.
    """

    version: int
    sha256: str
    move: int


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


class BundleStore:
    """Versions of the model in a bucket. Readers need no lock; writers take turns."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._lock = FileLock(bucket.root / ".lock", timeout=_LOCK_TIMEOUT_S)

    def versions(self) -> tuple[int, ...]:
        """Return the numbers of all versions, oldest first."""
        folder = self.bucket.path("versions")
        with _explained(f"list {folder}"):
            names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return tuple(sorted(int(name[1:]) for name in names if _is_version(name)))

    def folder(self, version: int) -> Path:
        """Return the folder of a version.

        Raises:
            UsageError: there is no such version.
        """
        folder = self.bucket.path(version_key(version))
        if not folder.is_dir():
            known = ", ".join(map(str, self.versions())) or "none"
            raise UsageError(f"there is no version {version}; the versions here are: {known}")
        return folder

    def card(self, version: int) -> Json:
        """Return what register wrote about a version.

        Raises:
            StorageError: the card is damaged.
        """
        return _read_json(self.folder(version) / CARD_FILE)

    def add(self, folder: Path, card: Json) -> int:
        """Copy a sealed bundle into the store and return its version.

        The copy is staged, made durable and then renamed: a version is whole or not there. A
        bundle that the store already has keeps its version and its first card.

        Raises:
            BundleError: `folder` holds no sealed bundle.
            StorageError: the disk refuses; nothing becomes visible.
        """
        sha256 = bundle_sha256(folder)
        with self.exclusive():
            for version in reversed(self.versions()):
                if _holds(self.folder(version), sha256):
                    return version
            version = max(self.versions(), default=0) + 1
            parent = self.bucket.path("versions")
            need_disk(parent, _size_bytes(folder), f"version {version} of the model")
            with _explained(f"add version {version} in {parent}"):
                parent.mkdir(parents=True, exist_ok=True)
                _remove_leftovers(parent)
                staged = parent / f"{_STAGED}{version}"
                try:
                    _stage(folder, staged, {**card, "version": version})
                    staged.rename(self.bucket.path(version_key(version)))
                except BaseException:
                    shutil.rmtree(staged, ignore_errors=True)
                    raise
                fsync_folder(parent)
        return version

    def production(self) -> Pointer | None:
        """Return what is in production, or None.

        Raises:
            StorageError: the pointer cannot be read.
        """
        if not self.bucket.exists(POINTER):
            return None
        values = _read_json(self.bucket.path(POINTER))
        version, sha256, move = (values.get(item.name) for item in fields(Pointer))
        if not (isinstance(version, int) and isinstance(sha256, str) and isinstance(move, int)):
            raise _damaged(self.bucket.path(POINTER))
        return Pointer(version=version, sha256=sha256, move=move)

    def move(
        self,
        version: int,
        *,
        why: str,
        actor: str,
        action: Action = Action.PROMOTE,
        forced: bool = False,
    ) -> Move:
        """Point `production` at a version. The audit record comes first, the pointer last.

        Raises:
            UsageError: there is no such version.
            StorageError: the disk refuses; production is what it was.
        """
        with self.exclusive():
            sha256 = bundle_sha256(self.folder(version))
            pointer = self.production()
            previous = None if pointer is None else pointer.move
            seq = self._next_seq()
            while True:
                move = Move(
                    seq=seq,
                    at=datetime.now(UTC).isoformat(timespec="seconds"),
                    actor=actor,
                    action=action,
                    from_version=None if pointer is None else pointer.version,
                    to_version=version,
                    sha256=sha256,
                    why=why,
                    forced=forced,
                    previous_move=previous,
                    previous_sha256=None if previous is None else self._move_sha256(previous),
                )
                if self.bucket.create(_move_key(seq), _to_bytes(move.to_json())):
                    break
                seq += 1  # taken by a writer that does not see our lock, on a network disk
            target = Pointer(version=version, sha256=sha256, move=seq)
            self.bucket.write(POINTER, _to_bytes(asdict(target)))
        return move

    def audit(self) -> tuple[Move, ...]:
        """Return the moves that led to the pointer, oldest first.

        Raises:
            StorageError: a record is missing, was altered, or does not fit its neighbours.
        """
        pointer = self.production()
        chain: list[Move] = []
        seq = None if pointer is None else pointer.move
        promised = None
        while seq is not None:
            move = self._read_move(seq, promised)
            chain.append(move)
            if move.previous_move is not None and move.previous_move >= seq:
                raise _damaged(self.bucket.path(_move_key(seq)))
            seq, promised = move.previous_move, move.previous_sha256
        if pointer and (chain[0].to_version, chain[0].sha256) != (pointer.version, pointer.sha256):
            raise _damaged(self.bucket.path(POINTER))
        return tuple(reversed(chain))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store against other writers; may be nested in one thread.

        Raises:
            StorageError: another process holds it for minutes, or the bucket is read-only.
        """
        try:
            self._lock.acquire()
        except Timeout as error:
            raise StorageError(
                f"another doggo has been writing in {self.bucket.root} for "
                f"{_LOCK_TIMEOUT_S:.0f} s; wait for it or stop it, then try again"
            ) from error
        except OSError as error:
            reason = explain_os_error(error)
            raise StorageError(f"cannot write in {self.bucket.root}: {reason}") from error
        try:
            yield
        finally:
            self._lock.release()

    def _next_seq(self) -> int:
        taken = [int(key.split("/")[1][:6]) for key in self.bucket.list("audit/")]
        return max(taken, default=0) + 1

    def _move_sha256(self, seq: int) -> str:
        return hashlib.sha256(self.bucket.read(_move_key(seq))).hexdigest()

    def _read_move(self, seq: int, promised_sha256: str | None) -> Move:
        path = self.bucket.path(_move_key(seq))
        if promised_sha256 is not None and self._move_sha256(seq) != promised_sha256:
            raise _damaged(path)
        values = dict(_read_json(path))
        try:
            values["action"] = Action(str(values["action"]))
            move = Move(**values)  # type: ignore[arg-type]  # its bytes are those that we wrote
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path) from error
        if move.seq != seq:
            raise _damaged(path)
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


def _holds(folder: Path, sha256: str) -> bool:
    """Whether a version is this bundle and still whole: a damaged one cannot stand for it."""
    try:
        if bundle_sha256(folder) != sha256:
            return False
        read_bundle(folder)
    except BundleError:
        return False
    return True


def _size_bytes(folder: Path) -> int:
    with _explained(f"read the bundle {folder}"):
        return sum((folder / name).stat().st_size for name in (*FILES, BUNDLE_FILE))


def _stage(source: Path, staged: Path, card: Json) -> None:
    staged.mkdir()
    for name in (*FILES, BUNDLE_FILE):
        shutil.copyfile(source / name, staged / name)
    (staged / CARD_FILE).write_bytes(_to_bytes(card))
    for path in staged.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    fsync_folder(staged)


def _remove_leftovers(parent: Path) -> None:
    # Staging happens under the lock, so what is found here was left by a killed process.
    for path in parent.glob(f"{_STAGED}*"):
        shutil.rmtree(path)


def version_key(version: int) -> str:
    """Return where a version's folder lies in the bucket."""
    return f"versions/v{version:04d}"


def _move_key(seq: int) -> str:
    return f"audit/{seq:06d}.json"


def _is_version(name: str) -> bool:
    return name.startswith("v") and name[1:].isdecimal()


def _to_bytes(values: Json) -> bytes:
    return (json.dumps(values, sort_keys=True, indent=1) + "\n").encode()


def _read_json(path: Path) -> Json:
    with _explained(f"read {path}"):
        data = path.read_bytes()
    try:
        values = json.loads(data)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(values, dict):
        raise _damaged(path)
    return values


def _damaged(path: Path) -> StorageError:
    return StorageError(f"{path} is damaged or was altered; restore it with `doggo restore`")


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {doing}: {explain_os_error(error)}") from error
