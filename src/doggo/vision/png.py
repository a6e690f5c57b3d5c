"""The anatomy of a PNG file: its chunks and its header.

Owns finding these without decoding. Knows nothing of limits or what to keep.
Source: PNG specification, third edition (W3C 2025).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.exif import UPRIGHT, read_orientation
from doggo.vision.refusal import truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 50_000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GREY, _PALETTE = 0, 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: `data[start:end]` with its length and checksum."""

    kind: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        """The chunk's contents."""
        return data[self.start + 8 : self.end - 4]


@dataclass(frozen=True, slots=True)
class Info:
    """What IHDR, tRNS and eXIf say; sizes are those of the stored rows.

    Attributes:
        one_is_clear: whether a colour or entries of the palette are transparent (tRNS).
    """

    width_px: int
    height_px: int
    bits_per_pixel: int
    decoded_bytes_per_pixel: float
    interlaced: bool
    one_is_clear: bool
    orientation: int


def split_chunks(data: bytes) -> list[Chunk]:
    """Return the chunks up to and with IEND; what follows is not the picture's.

    Raises:
        PhotoError: TRUNCATED if there is no IEND, TOO_SLOW if there are absurdly many chunks.
    """
    chunks, position = [], len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 12 > len(data):
            raise truncated("PNG")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise truncated("PNG")
        chunks.append(Chunk(kind, position, end))
        if kind == b"IEND":
            return chunks
        position = end
    raise PhotoError(Rejection.TOO_SLOW, f"this PNG has over {_MAX_CHUNKS:,} parts: save it again")


def orientation_of(data: bytes, chunks: list[Chunk]) -> int:
    """Return the orientation of the first eXIf chunk, 1 if there is none."""
    for chunk in chunks:
        if chunk.kind == b"eXIf":
            return read_orientation(chunk.body(data))
    return UPRIGHT


def read_info(data: bytes) -> Info:
    """Return what the header says.

    Raises:
        PhotoError: TRUNCATED, or BROKEN if there is not one header, at the start, that makes sense.
    """
    chunks = split_chunks(data)
    headers = sum(chunk.kind == b"IHDR" for chunk in chunks)
    if headers != 1 or chunks[0].kind != b"IHDR" or chunks[0].end - chunks[0].start != 25:
        why = f"{headers} headers" if headers > 1 else "no header"
        raise PhotoError(Rejection.BROKEN, f"this PNG is damaged ({why}): save it again")
    width_px, height_px, depth, colour, _, _, interlace = struct.unpack(
        ">IIBBBBB", chunks[0].body(data)
    )
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise PhotoError(
            Rejection.BROKEN, f"this PNG is damaged (colour type {colour}, {depth} bits)"
        )
    # Pillow keeps 1 byte for grey and palette, 2 for 16-bit grey, 4 for all else.
    decoded = (2.0 if depth == 16 else 1.0) if colour in (_GREY, _PALETTE) else 4.0
    return Info(
        width_px=width_px,
        height_px=height_px,
        bits_per_pixel=depth * _CHANNELS[colour],
        decoded_bytes_per_pixel=decoded,
        interlaced=bool(interlace),
        one_is_clear=any(chunk.kind == b"tRNS" for chunk in chunks),
        orientation=orientation_of(data, chunks),
    )


def make_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum
