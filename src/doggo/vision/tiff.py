"""The anatomy of a TIFF file: the first directory's layout of its picture.

Owns reading it without decoding. Knows nothing of limits, but for the number of parts.
Source: TIFF 6.0 (Adobe 1992).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.exif import UPRIGHT

_MAX_PARTS = 20_000  # strips or tiles; a strip for each row of the tallest picture
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_BITS, _COMPRESSION, _SAMPLES, _STRIP_ROWS = 258, 259, 277, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIPS, _TILES = 273, 324
_LAYOUT = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT}
)
_SHORT, _LONG = 3, 4


@dataclass(frozen=True, slots=True)
class Info:
    """Size as stored, and the memory of one decoded strip or tile, 0 if it is read row by row."""

    width_px: int
    height_px: int
    orientation: int
    part_bytes: float


def read_info(data: bytes) -> Info:
    """Return what the first directory says of its picture.

    Raises:
        PhotoError: TOO_SLOW if it is cut into absurdly many parts, BROKEN if its layout is told
            twice or in another way than by whole numbers.
        struct.error: if the file is cut short.
    """
    tags = _read_tags(data)
    return Info(
        width_px=tags.get(_WIDTH, 0),
        height_px=tags.get(_HEIGHT, 0),
        orientation=tags.get(_ORIENTATION, UPRIGHT),
        part_bytes=_part_bytes(tags),
    )


def _read_tags(data: bytes) -> dict[int, int]:
    """Return the first value of each entry that counts, by tag."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    tags: dict[int, int] = {}
    for entry in range(count):
        at = start + 2 + 12 * entry
        tag, kind, values = struct.unpack_from(order + "HHI", data, at)
        _check(tag, kind, values, twice=tag in tags)
        if tag in _LAYOUT or (tag == _ORIENTATION and kind in (_SHORT, _LONG)):
            width = 2 if kind == _SHORT else 4
            if values * width > 4:
                (at,) = struct.unpack_from(order + "I", data, at + 8)
                at -= 8
            (tags[tag],) = struct.unpack_from(
                order + ("H" if kind == _SHORT else "I"), data, at + 8
            )
    return tags


def _check(tag: int, kind: int, values: int, *, twice: bool) -> None:
    if tag in (_STRIPS, _TILES) and values > _MAX_PARTS:
        raise PhotoError(
            Rejection.TOO_SLOW,
            f"this TIFF is cut into {values:,} parts, more than {_MAX_PARTS:,}: save it as a JPEG",
        )
    if tag in _LAYOUT and (twice or kind not in (_SHORT, _LONG)):
        # Which of two sizes counts, and what of another type is read, decoders disagree on.
        raise PhotoError(
            Rejection.BROKEN,
            f"this TIFF is damaged (entry {tag} comes twice or is no whole number): save it again",
        )


def _part_bytes(tags: dict[int, int]) -> float:
    """The memory of one decoded strip or tile, which may be larger than the picture."""
    width_px, height_px = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    if tags.get(_COMPRESSION, 1) == 1:  # read row by row
        return 0.0
    pixels = width_px * min(tags.get(_STRIP_ROWS, height_px), height_px)
    if _TILE_WIDTH in tags:
        pixels = tags[_TILE_WIDTH] * tags.get(_TILE_HEIGHT, height_px)
    return pixels * max(4.0, tags.get(_BITS, 1) * tags.get(_SAMPLES, 1) / 8)
