"""The bundle store: immutable versions, the production pointer, and who moved it.

    versions/v0001/...   a sealed bundle and its card; visible only once it is whole
    audit/000001.json    one object a move, created once, each naming the one before it
    production           {version, sha256, move, record}: the truth, written last, swapped and not
                         replaced

Owns the layout and its atomicity. Knows nothing of gates, runtimes or metrics. The pointer
names its move and the hash of its record, so the history is the chain that starts there: the
record of a move that was killed before it reached the pointer is on no chain, and a reader never
sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout

from doggo.core.errors import BundleError, StorageError, UsageError
from doggo.core.os_errors import explain_os_error, explained
from doggo.storage.audit import Action, Audit, History, Move
from doggo.storage.buckets import Bucket
from doggo.storage.disk import need_disk
from doggo.storage.json_files import Json, damaged, parse_json, read_json, to_bytes
from doggo.vision.bundle import BUNDLE_FILE, CARD_FILE, FILES, bundle_sha256, read_bundle

POINTER = "production"
_VERSIONS = "versions/"
_PAPERS = (BUNDLE_FILE, CARD_FILE, "labels.json", "validation.json")
_LOCK_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """What is in production.

    Attributes:
        sha256: identity of its bundle.
        move: sequence number of the audit record that put it there.
        record: sha256 of that record; None in a pointer that an older doggo wrote.
    """

    version: int
    sha256: str
    move: int
    record: str | None = None


class BundleStore:
    """Versions of the model in a bucket. Readers need no lock; writers take turns."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._audit = Audit(bucket)
        self._lock = FileLock(bucket.root / ".lock", timeout=_LOCK_TIMEOUT_S)

    def versions(self) -> tuple[int, ...]:
        """Return the numbers of all versions, oldest first."""
        return _numbers(self.bucket.published(_VERSIONS, last=CARD_FILE))

    def folder(self, version: int) -> Path:
        """Return the local folder of a version, all of it at hand.

        Raises:
            UsageError: there is no such version.
            StorageError: it cannot be fetched.
        """
        return self._at_hand(version, (*FILES, BUNDLE_FILE, CARD_FILE))

    def papers(self, version: int) -> Path:
        """Return the folder of a version with all but its weights: what `parse_bundle` reads.

        Raises:
            UsageError: there is no such version.
            StorageError: it cannot be fetched.
        """
        return self._at_hand(version, _PAPERS)

    def _at_hand(self, version: int, names: Sequence[str]) -> Path:
        versions = self.versions()
        if version not in versions:
            known = ", ".join(map(str, versions)) or "none"
            raise UsageError(f"there is no version {version}; the versions here are: {known}")
        return self.bucket.folder(version_key(version), names)

    def card(self, version: int) -> Json:
        """Return what register wrote about a version.

        Raises:
            StorageError: the card is damaged.
        """
        return read_json(self.papers(version) / CARD_FILE)

    def add(self, folder: Path, card: Json) -> int:
        """Copy a sealed bundle into the store and return its version.

        A version is whole or not there, and two writers never share a number. A bundle that the
        store already has keeps its version and its first card.

        Raises:
            BundleError: `folder` holds no sealed bundle.
            StorageError: the disk refuses; nothing becomes visible.
        """
        sha256 = bundle_sha256(folder)
        with self.exclusive():
            for version in reversed(self.versions()):
                if self._holds(version, sha256):
                    return version
            version = max(_numbers(self.bucket.claimed(_VERSIONS)), default=0) + 1
            need_disk(self.bucket.root, _size_bytes(folder), f"version {version} of the model")
            self.bucket.sweep(_VERSIONS)
            while not self._publish(folder, version, card):
                version += 1  # taken by a writer that does not see our lock
        return version

    def _publish(self, folder: Path, version: int, card: Json) -> bool:
        files: dict[str, Path | bytes] = {name: folder / name for name in (*FILES, BUNDLE_FILE)}
        files[CARD_FILE] = to_bytes({**card, "version": version})
        return self.bucket.publish(version_key(version), files, last=CARD_FILE)

    def _holds(self, version: int, sha256: str) -> bool:
        """Whether a version is this bundle and still whole: a damaged one cannot stand for it."""
        try:
            if bundle_sha256(self.papers(version)) != sha256:
                return False
            read_bundle(self.folder(version))
        except (BundleError, StorageError):
            return False
        return True

    def production(self) -> Pointer | None:
        """Return what is in production, or None.

        Raises:
            StorageError: the pointer cannot be read.
        """
        data = self.bucket.find(POINTER)
        if data is None:
            return None
        values = parse_json(data, self.bucket.shown(POINTER))
        version, sha256, move, record = (values.get(item.name) for item in fields(Pointer))
        if (
            isinstance(version, int)
            and isinstance(sha256, str)
            and isinstance(move, int)
            and isinstance(record, str | None)
        ):
            return Pointer(version=version, sha256=sha256, move=move, record=record)
        raise damaged(self.bucket.shown(POINTER))

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

        Where the audit is broken, the record says so, and the audit begins anew with it.

        Raises:
            UsageError: there is no such version.
            StorageError: the disk refuses; production is what it was.
        """
        with self.exclusive():
            sha256 = bundle_sha256(self.papers(version))
            before = self.bucket.find(POINTER)
            pointer = self.production()
            broken = self.history().broken
            move = self._audit.append(
                actor=actor,
                action=action,
                from_version=None if pointer is None else pointer.version,
                to_version=version,
                sha256=sha256,
                why=why,
                forced=forced,
                previous_move=None if pointer is None else pointer.move,
                previous_sha256=None if pointer is None else pointer.record,
                broken=broken,
            )
            target = Pointer(
                version=version, sha256=sha256, move=move.seq, record=move.record_sha256
            )
            if not self.bucket.swap(POINTER, to_bytes(asdict(target)), before):
                raise StorageError(
                    "production was moved by somebody else meanwhile: look with `doggo models "
                    "list`, then run the same command again"
                )
        return move

    def audit(self) -> tuple[Move, ...]:
        """Return the moves that led to the pointer, oldest first.

        Raises:
            StorageError: a record is missing, was altered, or does not fit its neighbours.
        """
        return self.history().whole()

    def history(self) -> History:
        """Return the moves that led to the pointer, as far as they are proven.

        Raises:
            StorageError: the pointer cannot be read, or the bucket refuses.
        """
        pointer = self.production()
        if pointer is None:
            return History()
        found = self._audit.history(pointer.move, pointer.record)
        for move in found.moves[-1:]:
            if (move.to_version, move.sha256) != (pointer.version, pointer.sha256):
                return History(broken=f"{POINTER} is damaged or was altered")
        return found

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


def _size_bytes(folder: Path) -> int:
    with explained(f"read the bundle {folder}"):
        return sum((folder / name).stat().st_size for name in (*FILES, BUNDLE_FILE))


def version_key(version: int) -> str:
    """Return where a version's folder lies in the bucket."""
    return f"{_VERSIONS}v{version:04d}"


def _numbers(keys: Iterable[str]) -> tuple[int, ...]:
    names = (key.removeprefix(f"{_VERSIONS}v") for key in keys)
    return tuple(sorted(int(name) for name in names if name.isdecimal()))
