"""The one EXIF field that pixels need: orientation. Everything else in EXIF is only removed.

Owns reading it from a TIFF-structured blob, writing a blob that holds nothing else, and applying
it. Knows nothing of the files that carry such blobs.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
_SHORT = 3
_MAX_ENTRIES = 1000  # real first directories have a few dozen; a hostile one 65,535


def read_orientation(blob: bytes) -> int:
    """Return the EXIF orientation (1 to 8) of a TIFF blob; 1 if absent, broken or out of range.

    Args:
        blob: from the byte-order mark on; a leading `Exif\\0\\0` is skipped.
    """
    if blob.startswith(b"Exif\0\0"):
        blob = blob[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(blob[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", blob, 4)
        (count,) = struct.unpack_from(order + "H", blob, start)
        for entry in range(min(count, _MAX_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", blob, start + 2 + 12 * entry)
            if tag == ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:
        return UPRIGHT  # damaged: it says nothing
    return UPRIGHT


def minimal_exif(orientation: int) -> bytes:
    """Return a TIFF blob whose one entry is `orientation` (26 bytes, little endian)."""
    entry = struct.pack("<HHIHH", ORIENTATION_TAG, _SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def empty_exif() -> bytes:
    """Return a TIFF blob without entries (14 bytes)."""
    return b"II*\0" + struct.pack("<IHI", 8, 0, 0)


def turn_upright(image_HWC: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the picture as `orientation` wants it seen, contiguous.

    2 mirrors, 3 turns by 180 degrees, 5 to 8 swap the sides (EXIF 2.32, tag 274).
    """
    if orientation >= 5:
        image_HWC = image_HWC.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image_HWC = image_HWC[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image_HWC = image_HWC[::-1]
    return np.ascontiguousarray(image_HWC)
