"""Embeddings: what a frozen network sees in each photo, computed once and kept.

Owns what an embedding depends on, and the loop that computes those that the cache lacks at the
runtime's own speed. Knows nothing of training, labels or where pixels are stored; the cache's
files are `storage.chunks`.

Legend: N photos, D features, H height, W width, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import InputError
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.storage.chunks import Chunks
from doggo.storage.disk import need_disk
from doggo.vision.ahead import prepared
from doggo.vision.pairs import Pair, runtime_version
from doggo.vision.runtime import Session
from doggo.vision.view import View

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

BATCH = 128
"""Photos a batch: between two batches a core waits for the other one, and with 32 that cost a
tenth of the throughput."""

_CHUNK = 512


class Pixels(Protocol):
    """Whoever has the canonical pixels of a manifest's rows."""

    def image(self, row: ManifestRow) -> U8:
        """Return uint8 [H, W, 3]."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingKey:
    """Everything beside the photo that an embedding depends on.

    Attributes:
        features_sha256: of the weights that compute them (`nets.network.features_sha256`), not of
            the file that those once came from: a network trained further is another one.
        decoder, step: of the manifest: who made the canonical pixels.
    """

    features_sha256: str
    view: View
    pair: Pair
    decoder: str
    step: str

    @property
    def folder(self) -> str:
        """A name that differs whenever an embedding could."""
        runtime = f"{self.pair.name}-{runtime_version(self.pair)}"
        rest = hashlib.sha256(f"{self.features_sha256}\n{self.decoder}\n{self.step}".encode())
        return f"{self.features_sha256[:8]}_{self.view.key()}_{runtime}_{rest.hexdigest()[:16]}"


class EmbeddingCache:
    """Embeddings on disk. Several processes may append at once.

    Args:
        cache: folder for what can be computed again; they lie in one of their own in it.
    """

    def __init__(self, cache: Path) -> None:
        self.root = cache / "embeddings"

    def load(self, key: EmbeddingKey, photo_ids: Sequence[str]) -> dict[str, F32]:
        """Return the kept embeddings [D] among `photo_ids`; damaged ones are removed."""
        wanted = set(photo_ids)
        return {
            photo_id: features_D
            for chunk in self._chunks(key).holding(wanted)
            for photo_id, features_D in zip(chunk.ids, chunk.arrays, strict=True)
            if photo_id in wanted
        }

    def append(self, key: EmbeddingKey, photo_ids: Sequence[str], features_ND: F32) -> None:
        """Keep a chunk of embeddings, atomically.

        Raises:
            StorageError: the disk refused.
        """
        self._chunks(key).append(photo_ids, np.ascontiguousarray(features_ND, np.float32))

    def _chunks(self, key: EmbeddingKey) -> Chunks:
        return Chunks(self.root / key.folder, "embeddings")


def embed(
    rows: Sequence[ManifestRow],
    pixels: Pixels,
    open_network: Callable[[], Session],
    *,
    key: EmbeddingKey,
    cache: EmbeddingCache,
    progress: Progress = silent,
) -> F32:
    """Return the embeddings of the photos, float32 [N, D] in the order of `rows`.

    Only those that the cache lacks are computed; they are appended to it as they come.

    Args:
        open_network: called if something is missing; gives a network with an output
            `features`, whose weights, view and pair are those of `key`.
        progress: told of stage `embed`, photos that the cache had counting as done.

    Raises:
        InputError: there are no rows.
        StorageError: pixels cannot be read or embeddings not kept, or there is no room for them.
    """
    if not rows:
        raise InputError("no photos to embed: the dataset is empty, run intake first")
    found = cache.load(key, [row.photo_id for row in rows])
    missing = [row for row in rows if row.photo_id not in found]
    done = len(rows) - len(missing)
    progress("embed", done, len(rows))
    if missing:
        session = open_network()
        kept: list[tuple[str, F32]] = []
        for batch, features_ND in features_of(session, missing, pixels, key.view):
            if batch[0] is missing[0]:
                need_disk(cache.root, len(missing) * features_ND[0].nbytes, "the embeddings")
            kept.extend(zip([row.photo_id for row in batch], features_ND, strict=True))
            done += len(batch)
            if len(kept) >= _CHUNK or done == len(rows):
                cache.append(key, [i for i, _ in kept], np.stack([f for _, f in kept]))
                found.update(kept)
                kept = []
            progress("embed", done, len(rows))
    return np.stack([found[row.photo_id] for row in rows])


def features_of(
    session: Session, rows: Sequence[ManifestRow], pixels: Pixels, view: View
) -> Iterator[tuple[Sequence[ManifestRow], F32]]:
    """Yield batches of rows with their features [n, D].

    The next batches' pixels are read and cut in a thread while the network runs.
    """

    def prepare(batch: Sequence[ManifestRow]) -> U8:
        images_NHWC = np.empty((len(batch), view.size_px, view.size_px, 3), np.uint8)
        for n, row in enumerate(batch):
            images_NHWC[n] = view.crop(pixels.image(row))
        return images_NHWC

    for batch, images_NHWC in prepared(rows, prepare, BATCH):
        yield batch, session.run(images_NHWC)["features"]
