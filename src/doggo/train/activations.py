"""What the frozen front of a network makes of each photo, computed once and kept on disk.

Owns what an activation depends on, and computing those that the cache lacks: chunks of float16
(`storage.chunks`), memory-mapped, so that a training reads them at the disk's speed and holds none
of them.

Legend: N photos, H height, W width, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from doggo.core.errors import InputError
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.storage.chunks import Chunks
from doggo.storage.disk import need_disk
from doggo.train.loaders import Example, Place
from doggo.train.student import Front
from doggo.vision.ahead import prepared
from doggo.vision.embeddings import Pixels
from doggo.vision.view import View

F16 = NDArray[np.float16]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

_BATCH = 32
_CHUNK = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationKey:
    """Everything beside the photo that an activation depends on.

    Attributes:
        features_sha256: of the network's weights (`nets.network.features_sha256`).
        depth: blocks of the front.
        decoder, step: of the manifest: who made the canonical pixels.
    """

    features_sha256: str
    depth: int
    view: View
    decoder: str
    step: str

    @property
    def folder(self) -> str:
        """A name that differs whenever an activation could."""
        words = f"{self.features_sha256}\n{self.decoder}\n{self.step}\n{torch.__version__}"
        rest = hashlib.sha256(words.encode()).hexdigest()[:16]
        return f"{self.features_sha256[:8]}_{self.depth}_{self.view.key()}_{rest}"


class Activations:
    """Examples: float16 [H, W, C] and the index of a photo's breed."""

    def __init__(self, arrays: Sequence[F16], places: Sequence[Place], labels_N: I64) -> None:
        self.labels_N = labels_N
        self._arrays, self._places = arrays, places

    def part(self, which: slice) -> Activations:
        """Return some of them, without copying any."""
        return Activations(self._arrays, self._places[which], self.labels_N[which])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Place) -> Example:
        chunk, row = self._places[place[1]]
        return torch.from_numpy(np.array(self._arrays[chunk][row])), int(self.labels_N[place[1]])


def activations(
    rows: Sequence[ManifestRow],
    labels_N: I64,
    pixels: Pixels,
    front: Front,
    *,
    key: ActivationKey,
    cache: Path,
    progress: Progress = silent,
) -> Activations:
    """Return the activations of the photos, in the order of `rows`; what is missing is computed.

    Args:
        progress: told of stage `activations`, photos that the cache had counting as done.

    Raises:
        StorageError: the disk has no room for them, or refuses.
        InputError: they do not fit into float16.
    """
    kept = Chunks(cache / key.folder, "activations")
    chunks = kept.holding([row.photo_id for row in rows])
    held = {photo_id for chunk in chunks for photo_id in chunk.ids}
    missing = [row for row in rows if row.photo_id not in held]
    done = len(rows) - len(missing)
    progress("activations", done, len(rows))
    if missing:
        need_disk(kept.folder, len(missing) * _bytes_each(front, key.view), "the activations")
    batch: list[tuple[Sequence[ManifestRow], F16]] = []
    for photos, computed in _computed(missing, pixels, front, key.view):
        batch.append((photos, computed))
        done += len(photos)
        if sum(len(part) for part, _ in batch) >= _CHUNK or done == len(rows):
            ids = [row.photo_id for part, _ in batch for row in part]
            chunks.append(kept.append(ids, np.concatenate([part for _, part in batch])))
            batch = []
        progress("activations", done, len(rows))
    found = {i: (c, n) for c, chunk in enumerate(chunks) for n, i in enumerate(chunk.ids)}
    arrays = [chunk.arrays for chunk in chunks]
    return Activations(arrays, [found[row.photo_id] for row in rows], labels_N)


def _bytes_each(front: Front, view: View) -> int:
    blank = torch.zeros(1, view.size_px, view.size_px, 3, dtype=torch.uint8)
    with torch.inference_mode():
        values: torch.Tensor = front(blank)
    return values.numel() * np.dtype(np.float16).itemsize


def _computed(
    rows: Sequence[ManifestRow], pixels: Pixels, front: Front, view: View
) -> Iterator[tuple[Sequence[ManifestRow], F16]]:
    def prepare(batch: Sequence[ManifestRow]) -> U8:
        return np.stack([view.crop(pixels.image(row)) for row in batch])

    for batch, images_NHWC in prepared(rows, prepare, _BATCH):
        with torch.inference_mode():
            values_NHWC = front(torch.from_numpy(images_NHWC)).half()
        if not torch.isfinite(values_NHWC).all():
            raise InputError(
                "this network's activations are too large for float16: leave out --layers last"
            )
        yield batch, np.ascontiguousarray(values_NHWC.numpy())
