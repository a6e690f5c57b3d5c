"""Array shards: many canonical photos in one memory-mappable .npy file.

Owns the file format (a 1-D uint8 array: HWC images one after another) and reading it without
copies. Where each image lies is in the database (`pixels.py`) and in the manifest's rows; a
shard alone says nothing of photos.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.storage.buckets import Bucket
from doggo.storage.whole import fsync

U8 = NDArray[np.uint8]

HEADER_BYTES = 128
"""Size of the .npy header of a 1-D uint8 array: data starts here."""

MAX_OPEN_MAPS = 32
"""Shards kept mapped at once: about 1 GB of address space at 128 photos of 254 kB a shard."""


_BYTES_A_PHOTO, _AT_PX = 300_000, 256  # on average at most


def expected_bytes(photos: int, short_side_px: int) -> int:
    """Return the bytes that the canonical pixels of so many photos take, rather too many."""
    return round(photos * _BYTES_A_PHOTO * (short_side_px / _AT_PX) ** 2)


class ShardWriter:
    """Writes images to one shard as they come, without holding them in memory.

    The file is a valid .npy array once the writer is closed; after an exception it is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if error is None:
                    self._file.seek(0)
                    self._write_header()
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        if error is not None:
            self.path.unlink(missing_ok=True)

    def append(self, image_HWC: U8) -> int:
        """Write an image; return its offset in bytes into the shard's array."""
        offset = self.size_bytes
        self._file.write(np.ascontiguousarray(image_HWC).data)
        self.size_bytes += image_HWC.nbytes
        return offset

    def _write_header(self) -> None:
        # numpy pads the header for a growing first axis, so its length stays the same.
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.size_bytes,)}
        npy.write_array_header_1_0(self._file, header)
        assert self._file.tell() == HEADER_BYTES


def write_shard(path: Path, images_HWC: Iterable[U8]) -> list[int]:
    """Write images to a shard file and make it durable; return their offsets.

    Raises:
        StorageError: the disk refuses; nothing is left at `path`.
    """
    try:
        with ShardWriter(path) as shard:
            offsets = [shard.append(image_HWC) for image_HWC in images_HWC]
        fsync(path)
    except OSError as error:
        raise StorageError(f"cannot write the shard {path}: {explain_os_error(error)}") from error
    return offsets


def map_shard(path: Path) -> U8:
    """Return a shard's array, read-only and memory-mapped.

    Raises:
        StorageError: it is not there, or is not a whole shard.
    """
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            (size,), _, dtype = npy.read_array_header_1_0(file)
            whole = version == (1, 0) and dtype == np.uint8 and file.tell() == HEADER_BYTES
            if not whole or os.fstat(file.fileno()).st_size != HEADER_BYTES + size:
                raise StorageError(f"the shard {path} is damaged; run `doggo preprocess` again")
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    except OSError as error:
        message = f"cannot read the shard {path}: {explain_os_error(error)}"
        raise StorageError(f"{message}; run `doggo preprocess` again") from error
    except ValueError as error:
        raise StorageError(f"the shard {path} is damaged; run `doggo preprocess` again") from error
    return np.frombuffer(mapped, dtype=np.uint8, offset=HEADER_BYTES)


class PixelReader:
    """Reads canonical photos from the shards of a bucket, as views of memory-mapped files.

    Safe to use from several threads; a copy sent to another process maps the files anew.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._maps: OrderedDict[str, U8] = OrderedDict()
        self._lock = threading.Lock()

    def image(self, row: ManifestRow) -> U8:
        """Return the canonical pixels of a photo: read-only uint8 [H,W,3], not copied.

        Raises:
            StorageError: its shard is not there or damaged.
        """
        array = self._map(row.shard)
        end = row.offset + row.height_px * row.width_px * 3
        if end > array.size:
            raise StorageError(
                f"the shard {row.shard} ends before photo {row.photo_id}; "
                "run `doggo preprocess` again"
            )
        return array[row.offset : end].reshape(row.height_px, row.width_px, 3)

    def fetch(self, rows: Iterable[ManifestRow], progress: Progress = silent) -> None:
        """Have the shards of these rows at hand: those of a bucket far away come together."""
        self.bucket.fetch(sorted({row.shard for row in rows}), progress, "fetch")

    def images(self, rows: Iterable[ManifestRow]) -> Iterator[U8]:
        """Yield the pixels of many photos in the order given; quickest in manifest order."""
        return map(self.image, rows)

    def _map(self, shard: str) -> U8:
        with self._lock:
            array = self._maps.get(shard)
            if array is None:
                array = self._maps[shard] = map_shard(self.bucket.path(shard))
                if len(self._maps) > MAX_OPEN_MAPS:
                    self._maps.popitem(last=False)  # closed once its last view is gone
            else:
                self._maps.move_to_end(shard)
            return array

    def __getstate__(self) -> Bucket:
        return self.bucket

    def __setstate__(self, bucket: Bucket) -> None:
        self.__init__(bucket)  # type: ignore[misc]  # same state as a fresh reader
