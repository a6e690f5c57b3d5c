"""Preprocess: photos in the raw bucket become shards of canonical pixels and a dataset manifest.

Owns the order of effects: pixels first, then sides, then the manifest that shows both, and which
manifest is the latest at the end. Killed anywhere, the next run goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from doggo.core.errors import InputError, UsageError
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow, Origin, Photo, QuarantineReason, Split
from doggo.preprocess.local import delete_local_copies
from doggo.preprocess.made import LeftOut, Made
from doggo.preprocess.pixels import PixelMaker
from doggo.preprocess.split import DEFAULT_SEED, NO_LISTS, assign_sides, choose, misfits
from doggo.preprocess.stanford import read_lists
from doggo.preprocess.table import save_table
from doggo.preprocess.worker import Decoded
from doggo.storage import manifests
from doggo.storage.buckets import Bucket
from doggo.storage.photos import PhotoStore, Removal
from doggo.storage.pixels import PixelKey, Place
from doggo.storage.spool import Spool
from doggo.vision.cores import available_cores
from doggo.vision.photo import DEFAULT_SHORT_SIDE_PX, decoder_name
from doggo.vision.step import step_name

log = logging.getLogger(__name__)


def preprocess(
    *,
    store: PhotoStore,
    raw: Bucket,
    processed: Bucket,
    spool: Path,
    short_side_px: int = DEFAULT_SHORT_SIDE_PX,
    max_data: int | None = None,
    delete_local: bool = False,
    stanford_lists: Path | None = None,
    seed: int = DEFAULT_SEED,
    workers: int = 0,
    origin: Origin = Origin.OWNER,
    new: bool = False,
    progress: Progress = silent,
) -> Made:
    """Bring every photo in use into the processed bucket and return the new dataset.

    Only photos without pixels are decoded, so adding N photos decodes N. A raw object that is
    missing or altered puts its photo into quarantine and does not stop the run. A photo that is
    whole and cannot be decoded now is only left out of this dataset.

    Args:
        short_side_px: S of the canonical pixels.
        max_data: as many photos, in the proportions of the whole; None means all.
        delete_local: delete the local source files that are safely in the raw bucket.
        stanford_lists: official lists that decide who is for the test; see `stanford.py`.
        seed: of the split, and of the choice that `max_data` makes.
        workers: decoding processes; 0 means one a core.
        origin: whose photos; users' and owner's photos never share a shard or a manifest.
        new: they are in the buckets for new photos; only the advice in an error depends on it.

    Raises:
        InputError: there is no photo in use, or none can be decoded, or the lists do not fit.
        StepError: the owner's step is not in order; no photo is blamed.
        StorageError: a bucket, the disk or the database refuses, or another command is changing
            photos. The same command completes the work.
    """
    if max_data is not None and max_data < 1:
        raise UsageError(f"--max-data must be at least 1, not {max_data}")
    key = PixelKey(short_side_px, decoder_name(), step_name())
    listed = NO_LISTS if stanford_lists is None else read_lists(stanford_lists)
    with store.exclusive("preprocess"), Spool(spool).session():
        shards = PixelMaker(
            store=store, processed=processed, spool=Spool(spool), key=key, origin=origin
        )
        photos = _photos_in_use(store, origin, new=new)
        shards.take_over({photo.photo_id for photo in photos}, progress)
        if listed:
            listed = _by_photo(store, listed)
            photos = _without_misfits(store, photos, listed)
        sides = _settle_sides(store, photos, seed, listed)
        wanted = photos
        if max_data is not None:
            chosen = choose(photos, sides, max_data, seed)
            wanted = [photo for photo in photos if photo.photo_id in chosen]
        lacking = shards.decode_missing(wanted, raw, workers or available_cores(), progress)
        left_out = tuple(_left_out(wanted, lacking, raw))
        wanted = [photo for photo in wanted if photo.photo_id in shards.places]
        if not wanted:
            raise _none_decoded(left_out)
        manifest = manifests.manifest_of(tuple(_rows(wanted, sides, shards.places, raw)), key, seed)
        manifests.save(processed, manifest)
        save_table(processed, wanted)
        if delete_local:
            delete_local_copies(store, raw, origin)
    log.info("preprocessed manifest_id=%s photos=%d", manifest.manifest_id, len(manifest.rows))
    return Made(manifest=manifest, left_out=left_out)


def _photos_in_use(store: PhotoStore, origin: Origin, *, new: bool) -> list[Photo]:
    photos = store.used(origin)
    if not photos:
        option = " --new" if new else ""
        raise InputError(
            f"there is no photo to preprocess: run `doggo intake{option} FOLDER` first; "
            f"`doggo quarantine{option}` lists what it set aside"
        )
    return photos


def _left_out(
    wanted: Sequence[Photo], lacking: Sequence[Decoded], raw: Bucket
) -> Iterator[LeftOut]:
    keys = {photo.photo_id: photo.raw_key for photo in wanted}
    for one in lacking:
        yield LeftOut(
            photo_id=one.photo_id,
            raw_uri=raw.uri(keys[one.photo_id]),
            reason=str(one.reason),
            detail=one.detail,
        )


def _none_decoded(left_out: Sequence[LeftOut]) -> InputError:
    if not left_out:
        return InputError("all raw objects are lost or altered: `doggo intake` the photos again")
    first = left_out[0]
    return InputError(f"no photo can be decoded, such as {first.raw_uri}: {first.detail}")


def _by_photo(store: PhotoStore, listed: Mapping[str, Split]) -> dict[str, Split]:
    """Return photo_id → side of the official lists, for photos whose file had a listed name."""
    found: dict[str, Split] = {}
    for photo_id, path in store.ledger.source_paths():
        side = listed.get(Path(path).stem)
        if side is not None and found.get(photo_id) is not Split.TEST:  # if in both: the test's
            found[photo_id] = side
    if not found:
        raise InputError("none of the photos is in the official lists: were their files renamed?")
    return found


def _without_misfits(
    store: PhotoStore, photos: Sequence[Photo], listed: Mapping[str, Split]
) -> list[Photo]:
    """Set aside the listed photos that resemble one of the other list; return the others."""
    out = misfits(photos, store.group_sides(), listed)
    late = [photo for photo in out if photo.split is not None]
    if late:
        raise InputError(
            f"{len(late):,} photos have a side already that is not the official one, and a side "
            "never changes: give the lists with the first preprocess, in another DOGGO_HOME"
        )
    reason, detail = QuarantineReason.LINKS_SIDES, "a near duplicate of a photo on the other list"
    store.remove(Removal(photo.photo_id, reason, detail) for photo in out)
    gone = {photo.photo_id for photo in out}
    return [photo for photo in photos if photo.photo_id not in gone]


def _settle_sides(
    store: PhotoStore, photos: Sequence[Photo], seed: int, listed: Mapping[str, Split]
) -> dict[str, Split]:
    """Give every photo a side, store the new ones, and return photo_id → side."""
    sides = {photo.photo_id: photo.split for photo in photos if photo.split is not None}
    new = assign_sides(photos, store.group_sides(), seed, listed)
    store.set_sides(new)
    return sides | new


def _rows(
    photos: Sequence[Photo],
    sides: dict[str, Split],
    places: dict[str, tuple[str, Place]],
    raw: Bucket,
) -> Iterator[ManifestRow]:
    for photo in photos:
        shard, place = places[photo.photo_id]
        yield ManifestRow(
            photo_id=photo.photo_id,
            raw_uri=raw.uri(photo.raw_key),
            breed=photo.breed,
            split=sides[photo.photo_id],
            sha256=photo.photo_id,
            group_id=photo.group_id,
            shard=shard,
            offset=place.offset,
            height_px=place.height_px,
            width_px=place.width_px,
            origin=photo.origin,
            may_be_shown=photo.may_be_shown,
        )
