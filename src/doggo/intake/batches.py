"""Cutting the files of an intake into batches, and asking the ledger which are known.

Owns the size of a batch, the order of files in it, and which verdicts of earlier intakes still
count: one of another decoder or release does not, and a file that ended its decoder is read again
every time, in a batch that is read file by file, so that it costs no more than itself. Nor is a
file known whose photo lost its raw object (`lost.py`). Knows nothing of what files hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from doggo.core.errors import Rejection
from doggo.core.os_errors import explained
from doggo.core.records import Outcome, QuarantineReason, Source
from doggo.intake.facts import Chunk
from doggo.intake.found import BucketObject, Found, Stored, hash_file
from doggo.intake.lost import LostPhotos
from doggo.storage.photos import PhotoStore
from doggo.storage.spool import Spool
from doggo.vision.photo import reader_name

_LARGEST, _SMALLEST = 128, 16
_HASHED_TOGETHER = 1024
_AT_ONCE = 32  # objects of a bucket under way
_OF_THE_READER = frozenset((*Rejection, QuarantineReason.TOO_SMALL))


@dataclass(frozen=True, slots=True)
class Batch:
    """Files in order; those that the ledger knows come with their entry and are not read again.

    Attributes:
        chunk: the unknown ones as a task for a decoding process; None if all are known, or if
            they are to be read one by one.
        alone: whether they are: each of them may end its decoding process.
    """

    files: tuple[tuple[Found, Source | None], ...]
    chunk: Chunk | None
    alone: bool = False

    @property
    def unknown(self) -> list[Found]:
        return [found for found, source in self.files if source is None]

    @property
    def known(self) -> list[tuple[Found, Source]]:
        return [(found, source) for found, source in self.files if source is not None]


class _LookUp(NamedTuple):
    """A file, its entry if it need not be read, and whether it must be read alone."""

    found: Found
    source: Source | None
    alone: bool = False


class Batches:
    """Makes batches for `processes` decoding processes, with staging and shards of their own."""

    def __init__(
        self, store: PhotoStore, lost: LostPhotos, spool: Spool, staging: Path, processes: int
    ) -> None:
        self._store = store
        self._lost = lost
        self._spool = spool
        self._staging = staging
        self._processes = processes

    def cut(self, files: Sequence[Found]) -> Iterator[Batch]:
        """Yield all files in order. A first intake does not hash: its processes do."""
        if not self._store.ledger.has_sources():
            size = self._size(len(files))
            for start in range(0, len(files), size):
                yield self.of([(found, None) for found in files[start : start + size]])
            return
        for some in self._looked_up(files):
            yield from self._of_looked_up(some)

    def unknown(self, files: Sequence[Found]) -> Iterator[Found]:
        """Yield the files that the ledger does not know; each file is read to its end."""
        if not self._store.ledger.has_sources():
            yield from files
            return
        for some in self._looked_up(files):
            yield from (look.found for look in some if look.source is None)

    def of(self, files: Sequence[tuple[Found, Source | None]]) -> Batch:
        """Return a batch of these files."""
        unknown = [found for found, source in files if source is None]
        return Batch(tuple(files), self._chunk(unknown) if unknown else None)

    def _looked_up(self, files: Sequence[Found]) -> Iterator[list[_LookUp]]:
        seen = set[tuple[str, str]]()
        with ThreadPoolExecutor(_AT_ONCE if _far(files) else self._processes) as threads:
            for start in range(0, len(files), _HASHED_TOGETHER):
                some = files[start : start + _HASHED_TOGETHER]
                yield list(self._look_up(some, threads, seen))

    def _of_looked_up(self, files: Sequence[_LookUp]) -> Iterator[Batch]:
        """Yield the batches of these files; those that may end a process come last, in one."""
        calm = [look for look in files if not look.alone]
        size = self._size(sum(look.source is None for look in calm))
        waiting: list[tuple[Found, Source | None]] = []
        unknown = 0
        for look in calm:
            waiting.append((look.found, look.source))
            unknown += look.source is None
            if unknown == size:
                yield self.of(waiting)
                waiting, unknown = [], 0
        if waiting:
            yield self.of(waiting)
        if len(calm) < len(files):
            yield Batch(tuple((look.found, None) for look in files if look.alone), None, alone=True)

    def _size(self, files: int) -> int:
        """Enough batches to keep all processes busy to the end, none so small that it is waste."""
        return max(_SMALLEST, min(_LARGEST, files // (self._processes * 8)))

    def _look_up(
        self, files: Sequence[Found], threads: ThreadPoolExecutor, seen: set[tuple[str, str]]
    ) -> Iterator[_LookUp]:
        hashes = list(threads.map(hash_file, (found.place for found in files)))
        read = {sha256 for sha256 in hashes if sha256}
        ledger, lost = self._store.ledger.sources(read), self._lost.entries(read)
        for found, sha256 in zip(files, hashes, strict=True):
            entry = sha256, found.breed or ""
            source = ledger.get(entry)
            if source is None or _is_outdated(source) or entry in lost:
                alone = source is not None and source.photo_id is None and source.read_by is None
                yield _LookUp(found, None, alone)
                continue
            again = (source.source_sha256, source.breed) in seen
            seen.add((source.source_sha256, source.breed))
            yield _LookUp(found, _met_again(source, again))

    def _chunk(self, unknown: Sequence[Found]) -> Chunk:
        shard = self._spool.shard_path()
        staging = self._staging / shard.stem
        places = self._near(unknown, staging)
        labelled = (found.breed is not None for found in unknown)
        return Chunk(
            files=tuple(zip(places, labelled, strict=True)),
            staging=str(staging),
            shard=str(shard),
        )

    def _near(self, files: Sequence[Found], staging: Path) -> list[str | Stored]:
        """Return what a decoding process reads; objects of a bucket far away are fetched now.

        An object costs a round trip, and stores answer many at once; the decoding processes
        would ask for one after another.
        """
        if not any(isinstance(found.stored, BucketObject) for found in files):
            return [found.place for found in files]
        with explained(f"write to {staging}"):
            staging.mkdir(parents=True, exist_ok=True)

        def near(number: int, found: Found) -> str | Stored:
            stored = found.stored
            if isinstance(stored, BucketObject):
                return stored.fetch(staging / f"source-{number}")
            return found.place

        with ThreadPoolExecutor(_AT_ONCE if _far(files) else 1) as threads:
            return list(threads.map(near, range(len(files)), files))


def _far(files: Sequence[Found]) -> bool:
    return any(isinstance(f.stored, BucketObject) and not f.stored.is_near for f in files)


def _is_outdated(source: Source) -> bool:
    """Whether the reason why a file is no photo was found by another decoder or release, or none.

    It is none if the file ended its decoder: the machine may have been short of memory.
    """
    by_reader = source.photo_id is None and source.reason in _OF_THE_READER
    return by_reader and source.read_by != reader_name()


def _met_again(source: Source, again: bool) -> Source:
    """Return what to count for a file that the ledger knows; `again`: a second one in this run."""
    if source.outcome is not Outcome.ADDED:
        return source
    if again:
        return replace(source, outcome=Outcome.EXACT_DUPLICATE, detail="same file")
    return replace(source, outcome=Outcome.ALREADY_PRESENT)
