"""Giving the decisions on files their effects, in the order that survives a kill.

Owns that order: raw objects into the bucket and flushed to disk, then one transaction for photos
and ledger, then the pixels marked for preprocess. What a kill leaves behind is made good by doing
the same again: raw objects are named by content, the ledger keeps its first entry, and unmarked
pixels are swept up. The rules are in `decide.py`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import PhotoError, Rejection, StorageError
from doggo.core.records import Origin, Outcome, Photo, QuarantineReason, Source
from doggo.intake.batches import Batch
from doggo.intake.decide import Compare, File, Likeness, decide
from doggo.intake.facts import Chunk, Fact, Picture
from doggo.intake.found import Found
from doggo.intake.groups import MAX_HAMMING
from doggo.intake.lost import LostPhotos
from doggo.intake.report import Tally
from doggo.intake.rulings import Decision
from doggo.intake.walk import Walk
from doggo.storage.buckets import Bucket
from doggo.storage.ledger import ledger_path, unread_key
from doggo.storage.photos import PhotoStore
from doggo.storage.pixels import PixelKey, Place
from doggo.storage.shards import map_shard
from doggo.storage.spool import Spool
from doggo.vision.perceptual import same_picture
from doggo.vision.photo import DEFAULT_SHORT_SIDE_PX, canonical, decoder_name
from doggo.vision.step import step_name

log = logging.getLogger(__name__)

# What a person may believe to hold photos, also where nobody here can read it: pictures, raw ones
# of cameras, films, PDFs, archives.
# fmt: off
_PROMISING = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".heic", ".heif", ".hif", ".avif", ".jp2", ".jxl", ".ico", ".tga", ".svg", ".svgz",
    ".psd", ".npy", ".npz", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef",
    ".raw", ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".pdf", ".tar", ".tgz", ".gz", ".bz2",
    ".xz", ".zst", ".zip", ".7z", ".rar",
})
# fmt: on

Pictures = Mapping[str, tuple[Picture, Chunk]]
"""photo_id → what is known of a picture, and the chunk that holds its bytes and pixels."""


class Settler:
    """Settles answered batches; `tally` counts what became of their files."""

    def __init__(
        self,
        *,
        store: PhotoStore,
        raw: Bucket,
        spool: Spool,
        origin: Origin,
        walk: Walk,
        lost: LostPhotos,
    ) -> None:
        self.tally = Tally()
        self._walk = walk
        self._lost = lost
        self._retracted: set[tuple[str, str]] = set()
        self._store = store
        self._raw = raw
        self._spool = spool
        self._origin = origin
        self._unread = store.ledger.unread()
        self._key = PixelKey(DEFAULT_SHORT_SIDE_PX, decoder_name(), step_name())
        self._stored_pixels = lru_cache(maxsize=64)(self._decode_stored)

    def settle(self, answered: Sequence[tuple[Batch, Sequence[Fact]]]) -> None:
        """Decide on the files of some batches together, in order: one flush, one transaction."""
        files, pictures = list[File](), dict[str, tuple[Picture, Chunk]]()
        for batch, facts in answered:
            for found, fact in zip(batch.unknown, facts, strict=True):
                file = File(found.path, found.breed, found.problem, fact)
                if self._is_candidate(file):
                    files.append(file)
                if fact.picture is not None and batch.chunk is not None:
                    pictures[fact.picture.photo_id] = fact.picture, batch.chunk
        met = (unread_key(found.path) for batch, _ in answered for found, _ in batch.files)
        in_question = self._meet_known([pair for batch, _ in answered for pair in batch.known])
        self._apply(files, pictures, in_question, self._unread.intersection(met))
        for batch, _ in answered:
            if batch.chunk is not None:
                shutil.rmtree(batch.chunk.staging, ignore_errors=True)

    def _meet_known(self, known: Sequence[tuple[Found, Source]]) -> list[Source]:
        """Count files that the ledger knows; return those whose photo's breed is in question."""
        elsewhere, in_question = list[Source](), list[Source]()
        for found, entry in known:
            source = replace(entry, path=found.path)
            if ledger_path(found.path) != entry.path:
                elsewhere.append(source)
            if self._is_in_question(source):
                in_question.append(source)
            else:
                self.tally.add(source)
        self._store.ledger.met(elsewhere)
        return in_question

    def _is_in_question(self, source: Source) -> bool:
        if source.outcome is Outcome.OVERRULED:
            return self._walk.overrules
        return source.outcome is Outcome.CONFLICT or self._is_lacking(source)

    def _is_lacking(self, source: Source) -> bool:
        """Whether the ledger's entry was retracted since it was asked about this file."""
        return (source.source_sha256, source.breed) in self._retracted

    def _is_candidate(self, file: File) -> bool:
        """Leave out what neither is a picture nor promises one, such as a README or Thumbs.db."""
        no_picture = file.fact.reason in (Rejection.NOT_A_PICTURE, Rejection.EMPTY)
        companion = no_picture and Path(file.path).suffix.lower() not in _PROMISING
        if companion:
            self.tally.ignore(file.path, "not a picture, nor called as one is")
        return not companion

    def _apply(
        self,
        files: Sequence[File],
        pictures: Pictures,
        known: Sequence[Source],
        met_again: set[str],
    ) -> None:
        if not files and not known and not met_again:
            return
        hashes = [picture.phash for picture, _ in pictures.values()]
        stored = {
            photo.photo_id: self._as_it_is(photo)
            for photo in self._store.alike(
                [*pictures, *(source.photo_id or "" for source in known)], hashes, MAX_HAMMING
            )
        }
        compare = self._compare(pictures, stored)
        decision = decide(
            files, stored.values(), compare, self._standing, self._origin, known=known
        )
        self._keep_raw(decision, pictures, stored)
        self._store.record(
            sources=[
                *(_named(ruling.source) for ruling in decision.rulings),
                *(source for source in decision.met if self._is_lacking(source)),
            ],
            photos=list(decision.photos.values()),
            restored=decision.restored,
            set_aside=decision.set_aside,
            merged=decision.merged,
            mended=list(decision.mended.values()),
            retracted=() if self._walk.overrules else decision.retracted,
            overruled=decision.retracted if self._walk.overrules else (),
            met_again=met_again,
        )
        self._retracted |= decision.retracted
        self._mark_pixels(decision, pictures)
        for ruling in decision.rulings:
            self.tally.add(ruling.source, near=ruling.near)
        for source in decision.met:
            self.tally.add(source)
        for photo_id, photo in decision.mended.items():
            self._tell_mended(stored[photo_id], photo)
        self.tally.set_aside(decision.set_aside)

    def _as_it_is(self, photo: Photo) -> Photo:
        """Return a photo out of use if its raw object is gone, which the database does not know."""
        if photo.photo_id not in self._lost.photo_ids:
            return photo
        return replace(photo, quarantine=QuarantineReason.UNREADABLE.value)

    def _tell_mended(self, before: Photo, now: Photo) -> None:
        if now.quarantine is None and (now.breed, None) != (before.breed, before.quarantine):
            log.info(
                "photo_relabelled photo_id=%s was=%s now=%s", now.photo_id, before.breed, now.breed
            )
            was = "in conflict" if before.quarantine else before.breed
            self.tally.mend(now.photo_id, now.breed, was)

    def _standing(self, photo_ids: Collection[str]) -> list[tuple[Source, bool]]:
        filings = self._store.ledger.filings(photo_ids)
        return [
            (filing.source, self._counts(filing.source) and self._walk.stands(filing))
            for filing in filings
        ]

    def _counts(self, source: Source) -> bool:
        return source.outcome is not Outcome.OVERRULED or self._walk.overrules

    def _keep_raw(
        self, decision: Decision, pictures: Pictures, stored: Mapping[str, Photo]
    ) -> None:
        keep = [*decision.photos.values(), *(stored[photo_id] for photo_id in decision.restored)]
        for photo in keep:
            picture, chunk = pictures[photo.photo_id]
            staged = f"{chunk.staging}/{photo.photo_id}.{picture.extension}"
            self._raw.adopt(photo.raw_key, staged)
        if keep:
            self._raw.sync()
        self._lost.restored(keep)

    def _mark_pixels(self, decision: Decision, pictures: Pictures) -> None:
        places: dict[str, list[Place]] = {chunk.shard: [] for _, chunk in pictures.values()}
        for photo in decision.photos.values():
            if photo.quarantine is None:
                picture, chunk = pictures[photo.photo_id]
                places[chunk.shard].append(_place(picture))
        for shard, some in places.items():
            self._spool.mark(Path(shard), self._key, self._origin, some)

    def _compare(self, pictures: Pictures, stored: Mapping[str, Photo]) -> Compare:
        def pixels(photo_id: str) -> NDArray[np.uint8] | None:
            if photo_id not in pictures:
                return self._stored_pixels(stored[photo_id].raw_key)
            picture, chunk = pictures[photo_id]
            place = _place(picture)
            array = map_shard(Path(chunk.shard))[place.offset :][: place.size_bytes]
            return array.reshape(place.height_px, place.width_px, 3)

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


def _named(source: Source) -> Source:
    """Return a source as the ledger has it: by its path if nobody could read its bytes."""
    if source.source_sha256:
        return source
    return replace(source, source_sha256=unread_key(source.path))


def _place(picture: Picture) -> Place:
    return Place(picture.photo_id, picture.offset, picture.shard_height_px, picture.shard_width_px)
