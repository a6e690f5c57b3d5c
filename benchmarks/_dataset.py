"""A dataset for benchmarks: photos through the real intake and preprocess, in a folder given."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from doggo.core.records import Manifest
from doggo.intake.run import intake
from doggo.preprocess.run import preprocess
from doggo.storage.buckets import open_bucket
from doggo.storage.database import open_database
from doggo.storage.photos import PhotoStore
from doggo.storage.shards import PixelReader

SHARED = Path(__file__).resolve().parents[2] / "shared" / "photos"
SKIPPED = 3


def photos_folder() -> Path | None:
    """Return the folder of real photos, or None after saying how to give one."""
    photos = Path(os.environ.get("DOGGO_PHOTOS", SHARED))
    if photos.is_dir():
        return photos
    print(f"no photos at {photos}: set DOGGO_PHOTOS to a folder with a folder per breed")
    return None


def make_dataset(photos: Path, work: Path, per_breed: int = 0) -> tuple[Manifest, PixelReader]:
    """Return the dataset of these photos and a reader of its pixels.

    Args:
        per_breed: photos a breed at most; 0: all.
    """
    chosen, taken = [], Counter[str]()
    for photo in sorted(photos.glob("*/*")):
        taken[photo.parent.name] += 1
        if not per_breed or taken[photo.parent.name] <= per_breed:
            chosen.append(photo)
    linked = work / "photos"
    for photo in chosen:
        target = linked / photo.parent.name / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(photo.resolve())
    raw = open_bucket((work / "raw").as_uri())
    processed = open_bucket((work / "processed").as_uri())
    engine = open_database(work / "doggo.db")
    try:
        store, workers = PhotoStore(engine), os.cpu_count() or 1
        places = {"store": store, "raw": raw, "spool": work / "spool", "workers": workers}
        intake([linked], labels=None, **places)
        manifest = preprocess(processed=processed, **places).manifest
    finally:
        engine.dispose()
    return manifest, PixelReader(processed)
