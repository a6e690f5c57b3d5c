"""A dataset of one colour a photo, which a tiny bundle answers without a fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.tiny_bundle import COLOURS, LABELS

from doggo.core.records import ManifestRow, Origin, Split
from doggo.registry.compare import Dataset
from doggo.storage.buckets import Bucket
from doggo.storage.manifests import manifest_of
from doggo.storage.pixels import PixelKey
from doggo.storage.shards import PixelReader, write_shard
from doggo.vision.photo import decoder_name

PHOTOS = 60


def colour_dataset(bucket: Bucket) -> Dataset:
    """Write sixty validation photos of one colour each, and ten test photos with wrong labels."""
    breeds = [LABELS[place % 3] for place in range(PHOTOS)]
    images = [np.full((40, 50, 3), COLOURS[breed], np.uint8) for breed in breeds]
    offsets = write_shard(bucket.path("one.npy"), images)
    rows = [
        ManifestRow(
            photo_id=f"photo{place}",
            raw_uri=f"file:///{place}",
            breed=breed,
            split=Split.VALIDATION,
            sha256="",
            group_id="",
            shard="one.npy",
            offset=offset,
            height_px=40,
            width_px=50,
            origin=Origin.OWNER,
            may_be_shown=True,
        )
        for place, (breed, offset) in enumerate(zip(breeds, offsets, strict=True))
    ]
    rows += [
        replace(row, photo_id=f"test{place}", split=Split.TEST, breed=LABELS[(place + 1) % 3])
        for place, row in enumerate(rows[:10])
    ]
    manifest = manifest_of(tuple(rows), PixelKey(256, decoder_name(), "none"), seed=42)
    return Dataset(manifest=manifest, pixels=PixelReader(bucket))
