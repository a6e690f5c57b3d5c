"""Intake: labelled files become photos in the raw bucket, each one once.

Owns the way of a file through the rooms beside it: found (`scan.py`), cut into batches and looked
up in the ledger (`batches.py`), read in a process of its own (`worker.py`), decided on
(`decide.py`), settled (`settle.py`), counted (`report.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from doggo.core.errors import InputError, Rejection, StorageError
from doggo.core.progress import Progress, silent
from doggo.core.records import Origin
from doggo.intake.batches import Batch, Batches
from doggo.intake.facts import Chunk, Fact
from doggo.intake.found import Found, hash_file
from doggo.intake.lost import LostPhotos
from doggo.intake.report import IntakeReport
from doggo.intake.scan import scan
from doggo.intake.settle import Settler
from doggo.intake.walk import Walk
from doggo.storage.buckets import Bucket, open_bucket
from doggo.storage.conflicts import Conflicts
from doggo.storage.disk import need_disk, on_one_disk
from doggo.storage.photos import PhotoStore
from doggo.storage.shards import expected_bytes
from doggo.storage.spool import Spool
from doggo.vision.photo import DEFAULT_SHORT_SIDE_PX
from doggo.vision.workers import Lost, Workers

log = logging.getLogger(__name__)

_READER = "doggo.intake.worker:read_chunk"
_CHUNK_TIMEOUT_S = 300.0
_FILE_TIMEOUT_S = 30.0
# A flush and a transaction cost the same for many files as for few; what is not settled yet is
# done again after a kill.
_SETTLED_TOGETHER = 512
_SETTLED_EVERY_S = 1.0

Reader = Workers[Chunk, tuple[Fact, ...]]
Answered = tuple[Batch, Sequence[Fact]]


def intake(
    paths: Sequence[Path | str],
    *,
    labels: Path | None = None,
    store: PhotoStore,
    raw: Bucket,
    spool: Path,
    workers: int = 0,
    origin: Origin = Origin.OWNER,
    relabel: bool = False,
    open_source: Callable[[str], Bucket] = open_bucket,
    progress: Progress = silent,
) -> IntakeReport:
    """Take in every picture under `paths`; running it again adds nothing.

    Args:
        paths: folders, files, archives or URLs of buckets; see `labels.py` for the breeds.
        labels: a labels CSV for all of them.
        spool: working folder, best on the disk of the buckets.
        workers: decoding processes; 0 means one a core.
        origin: whose photos they are; users' photos are never shown.
        relabel: these files alone say what breed their photos are, whatever others say that are
            filed elsewhere.
        open_source: opens a bucket to take in by its URL.

    Raises:
        UsageError: a path does not exist.
        InputError: there is no file to take in, or the labels file or an archive is damaged.
        StorageError: a bucket, the disk or the database refuses, or another command is changing
            photos. What was done until then is kept; the same command completes it.
    """
    reader = Reader(_READER, count=workers, timeout_s=_CHUNK_TIMEOUT_S)
    with store.exclusive("intake"), Spool(spool).session() as staging, reader:
        found = scan(paths, labels, scratch=staging / "inflated", open_source=open_source)
        if not found.files:
            given = ", ".join(str(path) for path in paths)
            message = f"no files to take in under {given}: give a folder with a folder a breed"
            raise InputError(message)
        if not store.ledger.has_sources():
            reader.start()  # there will be work: they import while we look around
        lost = LostPhotos(store, raw)
        batches = Batches(store, lost, Spool(spool), staging, reader.count)
        _check_disks(found.files, batches, raw.root, spool)
        walk = Walk(found, overrules=relabel)
        settler = Settler(
            store=store, raw=raw, spool=Spool(spool), origin=origin, walk=walk, lost=lost
        )
        for ignored in found.ignored:
            settler.tally.ignore(ignored.path, ignored.reason)
        _take_in(found.files, batches, reader, settler, progress)
        return settler.tally.report(Conflicts(store, settler.tally.in_conflict))


def _take_in(
    files: Sequence[Found],
    batches: Batches,
    reader: Reader,
    settler: Settler,
    progress: Progress,
) -> None:
    progress("intake", 0, len(files))
    waiting: list[Answered] = []
    done, settled_at = 0, time.monotonic()
    for answered in _read(files, batches, reader):
        waiting.append(answered)
        unsettled = sum(len(batch.files) for batch, _ in waiting)
        late = time.monotonic() > settled_at + _SETTLED_EVERY_S
        if late or unsettled >= _SETTLED_TOGETHER or done + unsettled == len(files):
            settler.settle(waiting)
            done += unsettled
            waiting, settled_at = [], time.monotonic()
            progress("intake", done, len(files))
    assert not waiting


def _read(files: Sequence[Found], batches: Batches, reader: Reader) -> Iterator[Answered]:
    """Yield every batch with what its unknown files hold, in order."""
    for batch, answer in reader.map((batch, batch.chunk) for batch in batches.cut(files)):
        if isinstance(answer, Lost):
            log.warning("intake_chunk_lost reason=%s files=%d", answer.reason, len(batch.unknown))
        if batch.alone or isinstance(answer, Lost):
            yield from _read_one_by_one(batch, batches)
        else:
            yield batch, answer or ()


def _read_one_by_one(batch: Batch, batches: Batches) -> Iterator[Answered]:
    """Read a batch file by file, to find the one that ends its process; that is tried again later.

    Which may not be its fault: the kernel ends processes where memory is short, and a disk stalls.
    """
    with Reader(_READER, count=1, timeout_s=_FILE_TIMEOUT_S) as lone:
        singles = (batches.of([pair]) for pair in batch.files)
        for single, answer in lone.map((single, single.chunk) for single in singles):
            if isinstance(answer, Lost):
                reason = f"the decoder could not cope with it: {answer.reason}"
                detail = f"{reason}; the next intake tries again"
                sha256 = hash_file(single.files[0][0].place)
                yield single, (Fact(sha256, reason=Rejection.BROKEN, detail=detail),)
            else:
                yield single, answer or ()


def _check_disks(files: Sequence[Found], batches: Batches, raw: Path, spool: Path) -> None:
    """Refuse an import that cannot fit, before it fills a disk.

    Only where all of them would not fit are they looked up first: that reads every file.

    Args:
        raw, spool: where the photos and their pixels are written, which may be two disks.

    Raises:
        StorageError: a disk has less free space than is needed of it for what is new.
    """
    try:
        _need_disks_for(files, raw, spool)
    except StorageError:
        _need_disks_for(list(batches.unknown(files)), raw, spool)


def _need_disks_for(files: Sequence[Found], raw: Path, spool: Path) -> None:
    photos_bytes, pixels_bytes = 0, expected_bytes(len(files), DEFAULT_SHORT_SIDE_PX)
    for found in files:
        with suppress(OSError):  # the reader will tell
            photos_bytes += found.size_bytes()
    if on_one_disk(raw, spool):
        need_disk(raw, photos_bytes + pixels_bytes, f"{len(files)} photos and their pixels")
    else:
        need_disk(raw, photos_bytes, f"{len(files)} photos")
        need_disk(spool, pixels_bytes, f"the pixels of {len(files)} photos")
