"""The bundle store: immutable versions, the production pointer, and who moved it.

    versions/v0001/...   a sealed bundle and its card; visible only once it is whole
    audit/000001.json    one object a move, created once, each naming the one before it
    production           {version, sha256, move}: the truth, written last

Owns the layout and its atomicity. Knows nothing of gates, runtimes or metrics. The pointer
names its move, so the history is the chain that starts there: the record of a move that was
killed before it reached the pointer is on no chain, and a reader never sees it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout

from doggo.core.errors import BundleError, StorageError, UsageError
from doggo.storage.audit import Action, Audit, Move
from doggo.storage.buckets import Bucket, explain_os_error, explained, fsync_folder
from doggo.storage.disk import need_disk
from doggo.storage.json_files import Json, damaged, read_json, to_bytes
from doggo.vision.bundle import BUNDLE_FILE, CARD_FILE, FILES, bundle_sha256, read_bundle

POINTER = "production"
_STAGED = ".tmp-"
_LOCK_TIMEOUT_S = 300.0


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


class BundleStore:
    """Versions of the model in a bucket. Readers need no lock; writers take turns."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._audit = Audit(bucket)
        self._lock = FileLock(bucket.root / ".lock", timeout=_LOCK_TIMEOUT_S)

    def versions(self) -> tuple[int, ...]:
        """Return the numbers of all versions, oldest first."""
        folder = self.bucket.path("versions")
        with explained(f"list {folder}"):
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
        return read_json(self.folder(version) / CARD_FILE)

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
            with explained(f"add version {version} in {parent}"):
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
        values = read_json(self.bucket.path(POINTER))
        version, sha256, move = (values.get(item.name) for item in fields(Pointer))
        if not (isinstance(version, int) and isinstance(sha256, str) and isinstance(move, int)):
            raise damaged(self.bucket.path(POINTER))
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
            move = self._audit.append(
                actor=actor,
                action=action,
                from_version=None if pointer is None else pointer.version,
                to_version=version,
                sha256=sha256,
                why=why,
                forced=forced,
                previous_move=None if pointer is None else pointer.move,
            )
            target = Pointer(version=version, sha256=sha256, move=move.seq)
            self.bucket.write(POINTER, to_bytes(asdict(target)))
        return move

    def audit(self) -> tuple[Move, ...]:
        """Return the moves that led to the pointer, oldest first.

        Raises:
            StorageError: a record is missing, was altered, or does not fit its neighbours.
        """
        pointer = self.production()
        if pointer is None:
            return ()
        moves = self._audit.chain(pointer.move)
        if (moves[-1].to_version, moves[-1].sha256) != (pointer.version, pointer.sha256):
            raise damaged(self.bucket.path(POINTER))
        return moves

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
    with explained(f"read the bundle {folder}"):
        return sum((folder / name).stat().st_size for name in (*FILES, BUNDLE_FILE))


def _stage(source: Path, staged: Path, card: Json) -> None:
    staged.mkdir()
    for name in (*FILES, BUNDLE_FILE):
        shutil.copyfile(source / name, staged / name)
    (staged / CARD_FILE).write_bytes(to_bytes(card))
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


def _is_version(name: str) -> bool:
    return name.startswith("v") and name[1:].isdecimal()
