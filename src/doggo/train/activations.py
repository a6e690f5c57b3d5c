"""What the frozen front of a network makes of each photo, computed once and kept on disk.

Owns the cache: chunks of float16 that are memory-mapped, so that a training reads them at the
disk's speed and holds none of them. A chunk is two files, as in `vision.embeddings`: the ids,
with the array's sha256 on top, are written last.

Legend: N photos, H height, W width, C channels.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from doggo.core.errors import InputError, StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.storage.disk import need_disk
from doggo.train.loaders import Example, Place
from doggo.train.student import Front
from doggo.vision.ahead import prepared
from doggo.vision.embeddings import Pixels
from doggo.vision.view import View

log = logging.getLogger(__name__)

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
    folder = cache / key.folder
    chunks = _kept(folder)
    held = {photo_id for ids in chunks.values() for photo_id in ids}
    missing = [row for row in rows if row.photo_id not in held]
    done = len(rows) - len(missing)
    progress("activations", done, len(rows))
    if missing:
        need_disk(folder, len(missing) * _bytes_each(front, key.view), "the activations")
    batch: list[tuple[Sequence[ManifestRow], F16]] = []
    for photos, computed in _computed(missing, pixels, front, key.view):
        batch.append((photos, computed))
        done += len(photos)
        if sum(len(part) for part, _ in batch) >= _CHUNK or done == len(rows):
            ids = [row.photo_id for part, _ in batch for row in part]
            chunks[_append(folder, ids, np.concatenate([part for _, part in batch]))] = ids
            batch = []
        progress("activations", done, len(rows))
    arrays = [np.load(file, mmap_mode="r") for file in chunks]
    found = {i: (c, n) for c, ids in enumerate(chunks.values()) for n, i in enumerate(ids)}
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


def _kept(folder: Path) -> dict[Path, list[str]]:
    """Return the whole chunks and their photo ids; a damaged one is removed."""
    chunks: dict[Path, list[str]] = {}
    for ids_file in sorted(folder.glob("*.ids")):
        digest, *ids = ids_file.read_text(encoding="ascii").splitlines() or [""]
        array = ids_file.with_suffix(".npy")
        if array.is_file() and _sha256(array) == digest:
            chunks[array] = ids
        else:
            log.warning("activations.damaged_chunk_removed chunk=%s", ids_file.name)
            ids_file.unlink(missing_ok=True)
    return chunks


def _append(folder: Path, ids: Sequence[str], values_NHWC: F16) -> Path:
    name = secrets.token_hex(8)
    array, temporary = folder / f"{name}.npy", folder / f".tmp-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(array, values_NHWC)
        temporary.write_text("\n".join((_sha256(array), *ids)), encoding="ascii")
        temporary.replace(folder / f"{name}.ids")
    except OSError as error:
        for file in (temporary, array):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        raise StorageError(
            f"cannot keep activations in {folder}: {explain_os_error(error)}"
        ) from error
    return array


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
