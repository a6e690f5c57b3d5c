"""What a decoding process does with a chunk of raw objects: verify, decode, write a shard.

Owns the check that a raw object is what its name says. Knows nothing of the database.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from doggo.core.errors import PhotoError, Rejection, StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.records import QuarantineReason
from doggo.storage.shards import ShardWriter
from doggo.vision.photo import canonical


@dataclass(frozen=True, slots=True)
class Chunk:
    """Raw objects for one process.

    Attributes:
        files: photo_id and path of the raw object.
        shard: path of the shard to write.
    """

    files: tuple[tuple[str, str], ...]
    shard: str
    short_side_px: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Where a photo's pixels are in the shard, or why there are none (`reason` is set).

    Attributes:
        damaged: the raw object is lost, whoever reads it; else this decoding did not succeed.
    """

    photo_id: str
    offset: int = 0
    height_px: int = 0
    width_px: int = 0
    reason: str | None = None
    detail: str = ""
    damaged: bool = False


def decode_chunk(chunk: Chunk) -> tuple[Decoded, ...]:
    """Return one answer a photo, in order.

    Raises:
        StorageError: the shard cannot be written.
        StepError: the owner's step is not in order.
    """
    try:
        with ShardWriter(Path(chunk.shard)) as shard:
            return tuple(
                _decode(photo_id, Path(path), shard, chunk.short_side_px)
                for photo_id, path in chunk.files
            )
    except OSError as error:
        raise StorageError(f"cannot write {chunk.shard}: {explain_os_error(error)}") from error


def _decode(photo_id: str, path: Path, shard: ShardWriter, short_side_px: int) -> Decoded:
    try:
        data = path.read_bytes()
    except OSError as error:
        detail = f"its raw object: {explain_os_error(error)}"
        return Decoded(photo_id, reason=QuarantineReason.UNREADABLE, detail=detail, damaged=True)
    if hashlib.sha256(data).hexdigest() != photo_id:
        detail = "its raw object was altered since intake"
        return Decoded(photo_id, reason=Rejection.BROKEN, detail=detail, damaged=True)
    try:
        image_HWC = canonical(data, short_side_px)
    except PhotoError as error:
        return Decoded(photo_id, reason=error.rejection, detail=str(error))
    except OSError as error:  # a decoder's, not the disk's: those stop the run
        return Decoded(photo_id, reason=Rejection.BROKEN, detail=f"cannot be decoded: {error}")
    height_px, width_px, _ = image_HWC.shape
    return Decoded(photo_id, shard.append(image_HWC), height_px, width_px)
