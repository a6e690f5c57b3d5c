"""Small datasets for the tests of training: drawn pictures, and embeddings without pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from doggo.core.records import Manifest, ManifestRow, Origin, Split
from doggo.train.probe import Labelled

U8 = NDArray[np.uint8]


class Drawn:
    """Pixels for any row: coloured stripes whose direction and colour depend on the breed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def image(self, row: ManifestRow) -> U8:
        self.asked.append(row.photo_id)
        digest = hashlib.sha256(row.breed.encode()).digest()
        noise = np.random.default_rng(int(row.photo_id[:8], 16))
        y, x = np.mgrid[: row.height_px, : row.width_px]
        wave = np.sin((digest[0] % 7 * x + digest[1] % 7 * y) / 40 + noise.uniform(0, 6))
        colour = np.frombuffer(digest[2:5], np.uint8).astype(float)
        image = colour * (0.6 + 0.4 * wave[..., None]) + noise.normal(0, 12, (*wave.shape, 3))
        return np.asarray(image.clip(0, 255), np.uint8)


class Contradicting(Drawn):
    """Validation photos look like the next breed: who fits one side is wrong on the other."""

    def __init__(self, breeds: Sequence[str]) -> None:
        super().__init__()
        self._next = dict(zip(breeds, [*breeds[1:], breeds[0]], strict=True))

    def image(self, row: ManifestRow) -> U8:
        if row.split is Split.VALIDATION:
            row = replace(row, breed=self._next[row.breed])
        return super().image(row)


def row(breed: str, number: int, split: Split) -> ManifestRow:
    """One photo of a manifest, with an id of its own."""
    photo_id = hashlib.sha256(f"{breed}/{number}".encode()).hexdigest()
    return ManifestRow(
        photo_id=photo_id,
        raw_uri=f"file:///raw/{photo_id}.jpg",
        breed=breed,
        split=split,
        sha256=photo_id,
        group_id=photo_id,
        shard="s.npy",
        offset=0,
        height_px=256,
        width_px=300,
        origin=Origin.OWNER,
        may_be_shown=True,
    )


def manifest(breeds: Sequence[str], *, train: int, validation: int, test: int = 0) -> Manifest:
    """A dataset of so many photos a breed and side."""
    rows = []
    for breed in breeds:
        sides = [Split.TRAIN] * train + [Split.VALIDATION] * validation + [Split.TEST] * test
        rows.extend(row(breed, n, side) for n, side in enumerate(sides))
    return Manifest(
        manifest_id="0123456789abcdef",
        short_side_px=256,
        decoder="drawn",
        step="none",
        seed=42,
        rows=tuple(rows),
    )


def clouds(n: int, *, classes: int, features: int, seed: int, spread: float = 1.0) -> Labelled:
    """Embeddings of n photos around one centre a class; the centres are the same for all seeds."""
    centres = np.random.default_rng(0).normal(size=(classes, features))
    noise = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = centres[labels] + spread * noise.normal(size=(n, features))
    return Labelled(features=values.astype(np.float32), labels=labels.astype(np.int64))
