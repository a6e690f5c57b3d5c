"""Making the canonical pixels of photos, each once, as shards of the processed bucket.

Owns the way of a shard: finished in the spool, linked into the bucket, its places committed,
then the spool's copy goes. A kill between any two of them is made good by doing them again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.progress import Progress
from doggo.core.records import Origin, Photo, QuarantineReason
from doggo.preprocess.worker import Chunk, Decoded
from doggo.storage.buckets import Bucket
from doggo.storage.disk import need_disk
from doggo.storage.photos import PhotoStore, Removal
from doggo.storage.pixels import PixelIndex, PixelKey, Place
from doggo.storage.shards import HEADER_BYTES, U8, expected_bytes, map_shard, write_shard
from doggo.storage.spool import Spool, SpoolShard
from doggo.vision.workers import Lost, Workers

log = logging.getLogger(__name__)

_DECODER = "doggo.preprocess.worker:decode_chunk"
_CHUNK_TIMEOUT_S = 300.0
_FILE_TIMEOUT_S = 30.0
_LARGEST_CHUNK, _SMALLEST_CHUNK = 128, 16
_ADOPTED_TOGETHER = 32  # shards for one transaction
_LOST = "decoder_failed"
_LIVE_FRACTION = 0.9  # a spool shard with more waste than a tenth is written anew


class PixelMaker:
    """Makes what pixels are lacking for one key (short side, decoder, step) and origin.

    Attributes:
        places: photo_id → (shard, place) of every photo that has pixels.
    """

    def __init__(
        self,
        *,
        store: PhotoStore,
        processed: Bucket,
        spool: Spool,
        key: PixelKey,
        origin: Origin,
    ) -> None:
        self._index = PixelIndex(store.engine, key)
        self._store = store
        self._processed = processed
        self._spool = spool
        self._key = key
        self._origin = origin
        self._forget_lost()
        self.places = self._index.places()

    def _forget_lost(self) -> None:
        """Have the photos of shards that are gone or too short decoded again.

        What is left of a shard goes first: a shard is named after what is in it, so the same
        photos give the same name again, and a name that is taken is left alone. Killed in between,
        the next run finds it gone.
        """
        there = self._processed.sizes("shards/")
        lost = [
            shard
            for shard, size in self._index.shard_sizes().items()
            if there.get(shard, 0) < HEADER_BYTES + size
        ]
        for shard in lost:
            log.warning("shard_lost shard=%s", shard)
            self._processed.delete(shard)
        if lost:
            self._index.forget_shards(lost)

    def take_over(self, used: Collection[str], progress: Progress) -> None:
        """Adopt the shards that intake, or a run that was killed, left in the spool.

        Args:
            used: ids of the photos in use; the others are left out.
        """
        waiting = [
            shard
            for shard in self._spool.finished()
            if shard.key == self._key and shard.origin is self._origin
        ]
        live = set(used) - self.places.keys()
        done, total = 0, sum(len(shard.places) for shard in waiting)
        for start in range(0, len(waiting), _ADOPTED_TOGETHER):
            some = waiting[start : start + _ADOPTED_TOGETHER]
            self._adopt(
                {
                    shard: [place for place in shard.places if place.photo_id in live]
                    for shard in some
                }
            )
            done += sum(len(shard.places) for shard in some)
            progress("preprocess", done, total)

    def decode_missing(
        self, photos: Sequence[Photo], raw: Bucket, workers: int, progress: Progress
    ) -> list[Decoded]:
        """Decode the photos that have no pixels yet; return those that are whole and have none.

        They stay in use: it is not their fault but this short side's, a decoder's or a kill's.
        Those whose raw object is damaged are taken out of use.

        Raises:
            StorageError: the disk has no room for their pixels, or something refuses.
            StepError: the owner's step is not in order.
        """
        missing = [photo for photo in photos if photo.photo_id not in self.places]
        if missing:
            needed = expected_bytes(len(missing), self._key.short_side_px)
            need_disk(self._processed.root, needed, f"the pixels of {len(missing):,} photos")
        size = max(_SMALLEST_CHUNK, min(_LARGEST_CHUNK, len(missing) // (workers * 8)))
        chunks = (
            self._chunk(missing[start : start + size], raw)
            for start in range(0, len(missing), size)
        )
        done, left_out = 0, list[Decoded]()
        decoder = Workers[Chunk, tuple[Decoded, ...]](
            _DECODER, count=workers, timeout_s=_CHUNK_TIMEOUT_S
        )
        with decoder:
            for chunk, answer in decoder.map((chunk, chunk) for chunk in chunks):
                assert answer is not None
                answers = (
                    self._one_by_one(chunk, answer)
                    if isinstance(answer, Lost)
                    else [(chunk, answer)]
                )
                for part, decoded in answers:
                    left_out += self._keep(part, decoded, raw)
                done += len(chunk.files)
                progress("preprocess", done, len(missing))
        return left_out

    def _chunk(self, photos: Sequence[Photo], raw: Bucket) -> Chunk:
        raw.fetch([photo.raw_key for photo in photos])
        return Chunk(
            files=tuple((photo.photo_id, str(raw.path(photo.raw_key))) for photo in photos),
            shard=str(self._spool.shard_path()),
            short_side_px=self._key.short_side_px,
        )

    def _one_by_one(self, chunk: Chunk, lost: Lost) -> Iterator[tuple[Chunk, tuple[Decoded, ...]]]:
        """Decode a chunk again photo by photo after its process died, to find which it was.

        Which may not be its fault: the kernel ends processes where memory is short, a disk stalls.
        """
        log.warning("decode_chunk_lost reason=%s photos=%d", lost.reason, len(chunk.files))
        lone = Workers[Chunk, tuple[Decoded, ...]](_DECODER, count=1, timeout_s=_FILE_TIMEOUT_S)
        singles = [
            replace(chunk, files=(file,), shard=str(self._spool.shard_path()))
            for file in chunk.files
        ]
        with lone:
            for single, answer in lone.map((single, single) for single in singles):
                assert answer is not None
                if isinstance(answer, Lost):
                    detail = f"the decoder could not cope with it: {answer.reason}"
                    yield single, (Decoded(single.files[0][0], reason=_LOST, detail=detail),)
                else:
                    yield single, answer

    def _keep(self, chunk: Chunk, decoded: Sequence[Decoded], raw: Bucket) -> list[Decoded]:
        """Adopt a decoded shard and take damaged photos out of use; return those left out."""
        self._remove(chunk, raw, [one for one in decoded if one.damaged])
        left_out = [one for one in decoded if one.reason and not one.damaged]
        for one in left_out:
            log.warning("photo_left_out photo_id=%s reason=%s", one.photo_id, one.reason)
        places = tuple(
            Place(one.photo_id, one.offset, one.height_px, one.width_px)
            for one in decoded
            if not one.reason
        )
        shard = SpoolShard(Path(chunk.shard), self._key, self._origin, places)
        self._spool.mark(shard.path, shard.key, shard.origin, places)
        if places:
            self._adopt({shard: places})
        return left_out

    def _remove(self, chunk: Chunk, raw: Bucket, damaged: Sequence[Decoded]) -> None:
        if damaged:
            removals = [Removal(one.photo_id, str(one.reason), one.detail) for one in damaged]
            self._check_bucket(chunk, removals, raw)
            for removal in removals:
                log.warning(
                    "photo_quarantined photo_id=%s reason=%s", removal.photo_id, removal.reason
                )
            self._store.remove(removals)

    def _check_bucket(self, chunk: Chunk, removals: Sequence[Removal], raw: Bucket) -> None:
        """Do not take a bucket that is not mounted, or may not be read, for photos that are lost.

        The photos to decode may all be lost ones: the bucket tells, which then has others.
        """
        missing = sum(removal.reason == QuarantineReason.UNREADABLE for removal in removals)
        if missing > max(1, len(chunk.files) // 2) and not _has_readable(raw):
            raise StorageError(
                f"{missing} of {len(chunk.files)} photos are not readable in the raw bucket, such "
                f"as {chunk.files[0][1]}: check that it is mounted and that its URL is right"
            )

    def _adopt(self, shards: Mapping[SpoolShard, Sequence[Place]]) -> None:
        """Move finished shards into the bucket, with those of their photos that are in use."""
        files: dict[str, Path] = {}
        places: dict[str, Sequence[Place]] = {}
        for shard, live in shards.items():
            if live:
                try:
                    path, kept = self._without_waste(shard, live)
                except _DamagedError:
                    log.warning("spool_shard_damaged path=%s", shard.path)
                    continue
                key = _shard_key(self._key, kept)
                files[key], places[key] = path, kept
        self._processed.adopt_copies(files)
        self._index.add(places)
        for key, some in places.items():
            self.places.update((place.photo_id, (key, place)) for place in some)
        for shard in shards:
            self._spool.drop(shard)
        for path in files.values():
            path.unlink(missing_ok=True)  # those that were packed anew

    def _without_waste(
        self, shard: SpoolShard, live: Sequence[Place]
    ) -> tuple[Path, Sequence[Place]]:
        """Return the shard as it is, or one that is packed anew without what is not in use."""
        held = shard.path.stat().st_size - HEADER_BYTES
        if max(place.offset + place.size_bytes for place in live) > held:
            raise _DamagedError
        if sum(place.size_bytes for place in live) >= _LIVE_FRACTION * held:
            return shard.path, live
        path = self._spool.shard_path()
        return path, _repack(shard.path, live, path)


def _has_readable(bucket: Bucket) -> bool:
    try:
        return any(bucket.read_stored(key) for key in islice(bucket.list(), 1))
    except StorageError:
        return False


class _DamagedError(Exception):
    """A spool shard is not whole: its photos are decoded from the raw bucket instead."""


def _repack(old: Path, live: Sequence[Place], new: Path) -> list[Place]:
    try:
        array = map_shard(old)
    except StorageError as error:
        raise _DamagedError from error
    offsets = write_shard(new, (_image(array, place) for place in live))
    return [replace(place, offset=offset) for place, offset in zip(live, offsets, strict=True)]


def _image(array: U8, place: Place) -> U8:
    end = place.offset + place.size_bytes
    return array[place.offset : end].reshape(place.height_px, place.width_px, 3)


def _shard_key(key: PixelKey, places: Sequence[Place]) -> str:
    """Name a shard after what is in it, so that adopting it twice is adopting it once."""
    content = json.dumps([asdict(key), [place.values for place in places]])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"shards/{key.short_side_px}/{digest[:32]}.npy"
