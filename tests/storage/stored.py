"""Photos and sources to store, by any name."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from doggo.core.records import Outcome, Photo, Source
from doggo.storage.photos import PhotoStore


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def photo(name: object, phash: str = "0" * 16, **changes: object) -> Photo:
    made = Photo(
        photo_id=sha(name),
        source_sha256=sha(("source", name)),
        breed="pug",
        raw_key=f"pug/{sha(name)}.jpg",
        width_px=300,
        height_px=200,
        phash=phash,
        group_id=sha(name),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def source(of: Photo, outcome: Outcome = Outcome.ADDED) -> Source:
    return Source(
        source_sha256=of.source_sha256,
        breed=of.breed,
        path=f"/photos/{of.photo_id[:4]}.jpg",
        outcome=outcome,
        photo_id=of.photo_id,
    )


def put(store: PhotoStore, *photos: Photo, **changes: object) -> None:
    everything = {"restored": (), "set_aside": (), "merged": {}} | changes
    store.record(sources=[source(p) for p in photos], photos=photos, **everything)  # type: ignore[arg-type]
