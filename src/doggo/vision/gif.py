"""The anatomy of a GIF file: its screen, and where its first frame lies.

Owns finding these without decoding. Knows nothing of limits.
Source: Graphics Interchange Format, version 89a (CompuServe 1990).
"""

from __future__ import annotations

import re
import struct

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.refusal import truncated

_EXTENSION, _TRAILER = ord("!"), ord(";")
_INTRODUCER = re.compile(rb"[!,;]")
_COMMENT, _APPLICATION = 0xFE, 0xFF
_LOOP = b"\x0bNETSCAPE2.0"
_MAX_PARTS = 50_000  # a profile or XMP of 1 MB has some 10,000


def read_size(data: bytes) -> tuple[int, int]:
    """Return width and height of the picture that a decoder makes of the first frame.

    That frame may reach beyond the screen: the picture then grows with it.

    Raises:
        PhotoError: BROKEN, TRUNCATED, or TOO_SLOW if absurdly much stands before the frame.
        struct.error, IndexError: if the file is cut short.
    """
    width_px, height_px, flags = struct.unpack_from("<HHB", data, 6)
    colours_bytes = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    frame = _first_frame(data, 13 + colours_bytes)
    left, top, frame_w, frame_h = struct.unpack_from("<HHHH", data, frame + 1)
    return max(width_px, left + frame_w), max(height_px, top + frame_h)


def _first_frame(data: bytes, position: int) -> int:
    """Where the first frame's descriptor begins."""
    inside = False  # an extension; it ends with an empty part
    for _ in range(_MAX_PARTS):
        if inside:
            inside = data[position] != 0
            position += 1 + data[position]
            continue
        found = _INTRODUCER.search(data, position)  # decoders skip what stands between blocks
        if found is None:
            raise truncated("GIF")
        position = found.start()
        if data[position] == _TRAILER:
            raise PhotoError(Rejection.BROKEN, "this GIF holds no picture: save it again")
        if data[position] != _EXTENSION:
            return position
        if _is_empty(data, position):
            raise PhotoError(
                Rejection.BROKEN, "this GIF is damaged (an empty extension): save it again"
            )
        inside, position = True, position + 2
    raise PhotoError(
        Rejection.TOO_SLOW,
        f"this GIF has over {_MAX_PARTS:,} parts before its picture: save it again",
    )


def _is_empty(data: bytes, start: int) -> bool:
    """Whether the extension lacks contents that it must have: Pillow looks for them behind it."""
    label, length = data[start + 1], data[start + 2]
    if label == _APPLICATION and data.startswith(_LOOP, start + 2):
        return data[start + 3 + length] == 0
    return label != _COMMENT and length == 0
