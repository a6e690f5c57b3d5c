"""Intake: labelled files become photos in the raw bucket, each one once.

Owns the order of effects. For a chunk of files: cleaned bytes are staged, moved into the raw
bucket and flushed to disk, then one transaction writes photos and ledger, then the pixels that
were decoded on the way are marked for preprocess to take over. Killed anywhere, the next run
ends in the same state. The rules are in `decide.py`.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import InputError, PhotoError, Rejection, StorageError
from doggo.core.progress import Progress, silent
from doggo.core.records import Origin, Outcome, Photo, Source
from doggo.intake.decide import MAX_HAMMING, Compare, Decision, File, Likeness, decide
from doggo.intake.facts import Chunk, Fact, Picture
from doggo.intake.report import IntakeReport, Tally
from doggo.intake.scan import Found, scan
from doggo.intake.worker import hash_file
from doggo.storage.buckets import Bucket
from doggo.storage.disk import need_disk
from doggo.storage.photos import PhotoStore
from doggo.storage.pixels import PixelKey, Place
from doggo.storage.shards import map_shard
from doggo.storage.spool import Spool
from doggo.vision import owner_step
from doggo.vision.perceptual import same_picture
from doggo.vision.photo import DEFAULT_SHORT_SIDE_PX, canonical, decoder_name
from doggo.vision.workers import Lost, Workers

log = logging.getLogger(__name__)

_READER = "doggo.intake.worker:read_chunk"
_CHUNK_TIMEOUT_S = 300.0
_FILE_TIMEOUT_S = 30.0
_LARGEST_CHUNK, _SMALLEST_CHUNK = 128, 16
_HASHED_TOGETHER = 1024
# What lies beside photos; nameless files are the annotations of Stanford Dogs.
_COMPANIONS = frozenset(
    ("", ".csv", ".tsv", ".txt", ".md", ".json", ".jsonl", ".xml", ".html", ".yaml", ".yml")
)
_BYTES_A_PHOTO = 300_000  # of canonical pixels at a short side of 256 px, on average at most


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files in order; those that the ledger knows come with their entry and are not read again."""

    files: tuple[tuple[Found, Source | None], ...]
    chunk: Chunk | None

    @property
    def unknown(self) -> list[Found]:
        return [found for found, source in self.files if source is None]


def intake(
    paths: Sequence[Path],
    *,
    labels: Path | None = None,
    store: PhotoStore,
    raw: Bucket,
    spool: Path,
    workers: int = 0,
    origin: Origin = Origin.OWNER,
    progress: Progress = silent,
) -> IntakeReport:
    """Take in every picture under `paths`; running it again adds nothing.

    Args:
        paths: folders or files; see `scan.py` for how breeds are found.
        labels: a labels CSV for all of them.
        spool: working folder, best on the disk of the buckets.
        workers: decoding processes; 0 means one a core.
        origin: whose photos they are; users' photos are never shown.

    Raises:
        UsageError: a path does not exist.
        InputError: there is no file to take in, or the labels file is damaged.
        StorageError: a bucket, the disk or the database refuses, or another command is changing
            photos. What was done until then is kept; the same command completes it.
    """
    found = scan(paths, labels)
    if not found.files:
        given = ", ".join(str(path) for path in paths)
        raise InputError(f"no files to take in under {given}: give a folder with a folder a breed")
    with store.exclusive("intake"), Spool(spool).session() as staging:
        if not store.has_sources():
            _check_disk(found.files, raw.root)
        run = _Run(
            store=store,
            raw=raw,
            spool=Spool(spool),
            staging=staging,
            origin=origin,
            workers=workers or os.cpu_count() or 1,
        )
        for ignored in found.ignored:
            run.tally.ignore(ignored.path, ignored.reason)
        run.take_in(found.files, progress)
    return run.tally.report()


class _Run:
    """One intake on its way."""

    def __init__(
        self,
        *,
        store: PhotoStore,
        raw: Bucket,
        spool: Spool,
        staging: Path,
        origin: Origin,
        workers: int,
    ) -> None:
        self.tally = Tally()
        self._store = store
        self._raw = raw
        self._spool = spool
        self._staging = staging
        self._origin = origin
        self._workers = workers
        self._key = PixelKey(DEFAULT_SHORT_SIDE_PX, decoder_name(), owner_step.NAME)
        self._stored_pixels = lru_cache(maxsize=64)(self._decode_stored)

    def take_in(self, files: Sequence[Found], progress: Progress) -> None:
        done, total = 0, len(files)
        progress("intake", done, total)
        reader = Workers[Chunk, tuple[Fact, ...]](
            _READER, count=self._workers, timeout_s=_CHUNK_TIMEOUT_S
        )
        with reader:
            tasks = ((batch, batch.chunk) for batch in self._batches(files))
            for batch, answer in reader.map(tasks):
                if isinstance(answer, Lost):
                    self._one_by_one(batch, answer)
                else:
                    self._settle(batch, answer or ())
                done += len(batch.files)
                progress("intake", done, total)

    def _batches(self, files: Sequence[Found]) -> Iterator[_Batch]:
        """Cut the files into batches; where the ledger has entries, ask it first."""
        if not self._store.has_sources():
            size = self._batch_size(len(files))
            for start in range(0, len(files), size):
                yield self._batch([(found, None) for found in files[start : start + size]])
            return
        seen = set[tuple[str, str]]()
        with ThreadPoolExecutor(self._workers) as threads:
            for start in range(0, len(files), _HASHED_TOGETHER):
                some = files[start : start + _HASHED_TOGETHER]
                known = list(self._look_up(some, threads, seen))
                size = self._batch_size(sum(source is None for _, source in known))
                waiting: list[tuple[Found, Source | None]] = []
                unknown = 0
                for found, source in known:
                    waiting.append((found, source))
                    unknown += source is None
                    if unknown == size:
                        yield self._batch(waiting)
                        waiting, unknown = [], 0
                if waiting:
                    yield self._batch(waiting)

    def _batch_size(self, files: int) -> int:
        """Enough batches to keep all processes busy to the end, none so small that it is waste."""
        return max(_SMALLEST_CHUNK, min(_LARGEST_CHUNK, files // (self._workers * 8)))

    def _look_up(
        self, files: Sequence[Found], threads: ThreadPoolExecutor, seen: set[tuple[str, str]]
    ) -> Iterator[tuple[Found, Source | None]]:
        hashes = list(threads.map(hash_file, (found.path for found in files)))
        ledger = self._store.sources({sha256 for sha256 in hashes if sha256})
        for found, sha256 in zip(files, hashes, strict=True):
            source = ledger.get((sha256, found.breed or ""))
            if source is None:
                yield found, None
                continue
            again = (source.source_sha256, source.breed) in seen
            seen.add((source.source_sha256, source.breed))
            yield found, _met_again(source, found.path, again)

    def _batch(self, files: Sequence[tuple[Found, Source | None]]) -> _Batch:
        unknown = [found for found, source in files if source is None]
        return _Batch(tuple(files), self._chunk(unknown) if unknown else None)

    def _chunk(self, files: Sequence[Found]) -> Chunk:
        shard = self._spool.shard_path()
        return Chunk(
            files=tuple((found.path, found.breed is not None) for found in files),
            staging=str(self._staging / shard.stem),
            shard=str(shard),
        )

    def _one_by_one(self, batch: _Batch, lost: Lost) -> None:
        """Read a batch again file by file after its process died, to find the file to blame."""
        log.warning("intake_chunk_lost reason=%s files=%d", lost.reason, len(batch.unknown))
        lone = Workers[Chunk, tuple[Fact, ...]](_READER, count=1, timeout_s=_FILE_TIMEOUT_S)
        with lone:
            singles = (self._batch([pair]) for pair in batch.files)
            for single, answer in lone.map((single, single.chunk) for single in singles):
                if isinstance(answer, Lost):
                    detail = f"the decoder could not cope with it: {answer.reason}"
                    sha256 = hash_file(single.files[0][0].path)
                    self._settle(single, (Fact(sha256, reason=Rejection.BROKEN, detail=detail),))
                else:
                    self._settle(single, answer or ())

    def _settle(self, batch: _Batch, facts: Sequence[Fact]) -> None:
        """Decide on a batch, give the decision its effects and count the files."""
        read = iter(facts)
        files = [
            File(found.path, found.breed, found.problem, next(read)) for found in batch.unknown
        ]
        files = [file for file in files if not self._is_no_candidate(file)]
        if files:
            assert batch.chunk is not None
            self._apply(files, batch.chunk)
        for _, source in batch.files:
            if source is not None:
                self.tally.add(source)

    def _is_no_candidate(self, file: File) -> bool:
        """Leave out what neither is a picture nor is called one, such as a README."""
        no_picture = file.fact.reason in (Rejection.NOT_A_PICTURE, Rejection.EMPTY)
        companion = no_picture and Path(file.path).suffix.lower() in _COMPANIONS
        if companion:
            self.tally.ignore(file.path, f"not a picture: {file.fact.detail}")
        return companion

    def _apply(self, files: Sequence[File], chunk: Chunk) -> None:
        pictures = {
            file.fact.picture.photo_id: file.fact.picture
            for file in files
            if file.fact.picture is not None
        }
        stored = self._store.alike(
            list(pictures),
            [picture.phash for picture in pictures.values()],
            MAX_HAMMING,
        )
        by_id = {photo.photo_id: photo for photo in stored}
        decision = decide(files, stored, self._compare(chunk, pictures, by_id), self._origin)
        self._keep_raw(decision, by_id, chunk.staging)
        self._store.record(
            sources=[ruling.source for ruling in decision.rulings if ruling.source.source_sha256],
            photos=list(decision.photos.values()),
            restored=decision.restored,
            set_aside=decision.set_aside,
            merged=decision.merged,
        )
        self._mark_pixels(chunk, decision, pictures)
        shutil.rmtree(chunk.staging, ignore_errors=True)
        for ruling in decision.rulings:
            self.tally.add(ruling.source, near=ruling.near)
        self.tally.set_aside(decision.set_aside)

    def _keep_raw(self, decision: Decision, stored: dict[str, Photo], staging: str) -> None:
        keep = [*decision.photos.values(), *(stored[photo_id] for photo_id in decision.restored)]
        for photo in keep:
            extension = photo.raw_key.rpartition(".")[2]
            self._raw.adopt(photo.raw_key, f"{staging}/{photo.photo_id}.{extension}")
        if keep:
            self._raw.sync()

    def _mark_pixels(self, chunk: Chunk, decision: Decision, pictures: dict[str, Picture]) -> None:
        places = [
            _place(pictures[photo.photo_id])
            for photo in decision.photos.values()
            if photo.quarantine is None
        ]
        self._spool.mark(Path(chunk.shard), self._key, self._origin, places)

    def _compare(
        self, chunk: Chunk, pictures: dict[str, Picture], stored: dict[str, Photo]
    ) -> Compare:
        def pixels(photo_id: str) -> NDArray[np.uint8] | None:
            if photo_id in pictures:
                place = _place(pictures[photo_id])
                array = map_shard(Path(chunk.shard))[place.offset :][: place.size_bytes]
                return array.reshape(place.height_px, place.width_px, 3)
            return self._stored_pixels(stored[photo_id].raw_key)

        def compare(newcomer: str, other: str) -> Likeness:
            a_HWC, b_HWC = pixels(newcomer), pixels(other)
            if a_HWC is None or b_HWC is None:
                return Likeness.DIFFERENT
            if np.array_equal(a_HWC, b_HWC):
                return Likeness.EQUAL
            return Likeness.NEAR if same_picture(a_HWC, b_HWC) else Likeness.DIFFERENT

        return compare

    def _decode_stored(self, raw_key: str) -> NDArray[np.uint8] | None:
        try:
            return canonical(self._raw.read(raw_key), DEFAULT_SHORT_SIDE_PX)
        except (PhotoError, StorageError) as error:
            log.warning("raw_object_unusable key=%s reason=%s", raw_key, error)
            return None


def _met_again(source: Source, path: str, again: bool) -> Source:
    """Return what to count for a file that the ledger knows."""
    outcome = source.outcome
    if outcome is Outcome.ADDED:
        outcome = Outcome.EXACT_DUPLICATE if again else Outcome.ALREADY_PRESENT
        if again:
            return replace(source, path=path, outcome=outcome, detail="same file")
    return replace(source, path=path, outcome=outcome)


def _place(picture: Picture) -> Place:
    return Place(picture.photo_id, picture.offset, picture.shard_height_px, picture.shard_width_px)


def _check_disk(files: Sequence[Found], folder: Path) -> None:
    """Refuse a first import that cannot fit, before it fills the disk.

    Raises:
        StorageError: the disk has less free space than the photos and their pixels need.
    """
    needed = 0
    for found in files:
        try:
            needed += Path(found.path).stat().st_size + _BYTES_A_PHOTO
        except OSError:
            continue  # the reader will tell
    need_disk(folder, needed, f"{len(files)} photos and their pixels")
