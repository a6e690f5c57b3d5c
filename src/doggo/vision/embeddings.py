"""Embeddings: what a frozen network sees in each photo, computed once and kept.

Owns the cache (append-only chunks, so that N new photos cost O(N)) and the loop that fills it
at the runtime's own speed. Knows nothing of training, labels or where pixels are stored.

A chunk is two files: `<name>.npy`, float32 [n, D], and `<name>.ids`, one photo id a line with
the sha256 of the array on top. The ids are written last: a chunk without them does not exist,
so a process killed at any moment loses the chunk in the making and nothing else.

Legend: N photos, D features, H height, W width, C channels.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import InputError, StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.storage.disk import need_disk
from doggo.vision.ahead import prepared
from doggo.vision.pairs import Pair, runtime_version
from doggo.vision.runtime import Session
from doggo.vision.view import View

log = logging.getLogger(__name__)

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
    """Embeddings on disk, under one folder. Several processes may append at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, key: EmbeddingKey, photo_ids: Sequence[str]) -> dict[str, F32]:
        """Return the kept embeddings [D] among `photo_ids`.

        A chunk that is damaged counts as absent, and is removed.
        """
        wanted = set(photo_ids)
        found: dict[str, F32] = {}
        for ids_file in sorted((self.root / key.folder).glob("*.ids")):
            digest, *ids = ids_file.read_text(encoding="ascii").splitlines() or [""]
            if wanted.isdisjoint(ids):
                continue
            chunk_ND = _read_chunk(ids_file.with_suffix(".npy"), digest, len(ids))
            if chunk_ND is None:
                log.warning("embeddings.damaged_chunk_removed chunk=%s", ids_file.name)
                ids_file.unlink(missing_ok=True)
                continue
            found.update((i, chunk_ND[n]) for n, i in enumerate(ids) if i in wanted)
        return found

    def append(self, key: EmbeddingKey, photo_ids: Sequence[str], features_ND: F32) -> None:
        """Keep a chunk of embeddings, atomically.

        Raises:
            StorageError: the disk refused.
        """
        folder = self.root / key.folder
        name = secrets.token_hex(8)
        array = np.ascontiguousarray(features_ND, np.float32)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        temporary = folder / f".tmp-{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{name}.npy", array)
            lines = "\n".join((digest, *photo_ids))
            temporary.write_text(lines, encoding="ascii")
            temporary.replace(folder / f"{name}.ids")
        except OSError as error:
            for file in (temporary, folder / f"{name}.npy"):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            raise StorageError(
                f"cannot keep embeddings in {folder}: {explain_os_error(error)}"
            ) from error


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


def _read_chunk(file: Path, digest: str, n: int) -> F32 | None:
    try:
        chunk_ND = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if chunk_ND.ndim != 2 or len(chunk_ND) != n or chunk_ND.dtype != np.float32:
        return None
    same = hashlib.sha256(chunk_ND.tobytes()).hexdigest() == digest
    return chunk_ND if same else None
