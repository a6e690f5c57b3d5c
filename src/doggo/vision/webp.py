"""The anatomy of a WebP file: its RIFF chunks and its header.

Owns finding these without decoding, and writing them. Knows nothing of limits or what to keep.
Source: RFC 9649.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.exif import UPRIGHT, read_orientation
from doggo.vision.refusal import truncated

_MAX_CHUNKS = 50_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its type and where its contents lie."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Info:
    """Canvas size as stored, and how it is coded."""

    width_px: int
    height_px: int
    lossless: bool
    orientation: int


def split_chunks(data: bytes) -> list[Chunk]:
    """Return the chunks within the RIFF's stated length.

    Raises:
        PhotoError: TRUNCATED if one reaches beyond it, TOO_SLOW if there are absurdly many.
    """
    chunks, position = [], 12
    if len(data) < 20:
        raise truncated("WEBP")
    end_of_file = 8 + struct.unpack_from("<I", data, 4)[0]
    if end_of_file > len(data) + 1:  # some writers count a padding byte that they left out
        raise truncated("WEBP")
    end_of_file = min(end_of_file, len(data))
    while position + 8 <= end_of_file:
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end > end_of_file:
            raise truncated("WEBP")
        chunks.append(Chunk(kind, position + 8, end))
        if len(chunks) > _MAX_CHUNKS:
            raise PhotoError(
                Rejection.TOO_SLOW, f"this WebP has over {_MAX_CHUNKS:,} parts: save it again"
            )
        position = end + (length & 1)
    return chunks


def orientation_of(data: bytes, chunks: list[Chunk]) -> int:
    """Return the orientation of the EXIF chunk, 1 if there is none."""
    for chunk in chunks:
        if chunk.kind == b"EXIF":
            return read_orientation(data[chunk.start : chunk.end])
    return UPRIGHT


def read_info(data: bytes) -> Info:
    """Return what the first chunk says.

    Raises:
        PhotoError: TRUNCATED or BROKEN.
        struct.error: if the first chunk is cut short.
    """
    chunks = split_chunks(data)
    if not chunks:
        raise PhotoError(Rejection.BROKEN, "this WebP holds no picture: save it again")
    first = chunks[0]
    orientation = UPRIGHT
    if first.kind == b"VP8X":
        width_px = int.from_bytes(data[first.start + 4 : first.start + 7], "little") + 1
        height_px = int.from_bytes(data[first.start + 7 : first.start + 10], "little") + 1
        orientation = orientation_of(data, chunks)
    elif first.kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, first.start + 1)
        width_px, height_px = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif first.kind == b"VP8 ":
        width_px, height_px = struct.unpack_from("<HH", data, first.start + 6)
        width_px, height_px = width_px & 0x3FFF, height_px & 0x3FFF
    else:
        raise PhotoError(Rejection.BROKEN, "this WebP is damaged (no header): save it again")
    # Frames of a film may be coded either way: the dearer is assumed.
    lossless = any(chunk.kind in (b"VP8L", b"ANMF") for chunk in chunks)
    return Info(width_px, height_px, lossless, orientation)


def join_chunks(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return the file that consists of these chunks, each a type and its contents."""
    body = b"".join(
        struct.pack("<4sI", kind, len(part)) + part + b"\0" * (len(part) & 1)
        for kind, part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
