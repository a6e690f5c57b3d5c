"""Pixels that were kept as a NumPy file become a picture again, without loss.

Owns which arrays are photos. The first doggo kept a photo as `<label>/<name>.npy`: uint8, height
x width x RGB. Nothing is unpickled.

Arrays: H height, W width, C channels.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from doggo.core.errors import PhotoError, Rejection
from doggo.intake.found import ARRAY_MAGIC
from doggo.vision.photo import MAX_PIXELS, MAX_SIDE_PX

_PNG_LEVEL = 3  # a third of the time of 6 for a tenth more bytes (photos, 2026-11)
_CHANNELS = (1, 3, 4)


def is_array(data: bytes) -> bool:
    """Return whether bytes are a NumPy file, by how they start."""
    return data.startswith(ARRAY_MAGIC)


def png_of(data: bytes) -> bytes:
    """Return the photo in a NumPy file as a PNG with the same pixels.

    The same bytes give the same PNG on any machine with the same Pillow and zlib.

    Args:
        data: uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]: grey, RGB or RGBA.

    Raises:
        PhotoError: it is damaged, or its array is no photo.
    """
    image_HWC = _array(data)
    buffer = io.BytesIO()
    Image.fromarray(image_HWC).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _array(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = header(file)
        _check(shape, dtype)
        if len(data) - file.tell() != math.prod(shape):
            raise PhotoError(Rejection.TRUNCATED, "this array has not as many pixels as it says")
        file.seek(0)
        array = np.load(file, allow_pickle=False)
    except (ValueError, KeyError, EOFError, TypeError, SyntaxError, RecursionError) as error:
        raise PhotoError(Rejection.BROKEN, f"this array is damaged: {error}") from error
    return np.ascontiguousarray(array.squeeze(axis=2) if array.shape[2:] == (1,) else array)


def _check(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    if dtype != np.uint8:
        kept = "Python objects" if dtype.hasobject else f"{dtype}"
        raise PhotoError(Rejection.NOT_A_PICTURE, f"this array holds {kept}, not uint8 pixels")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in _CHANNELS):
        raise PhotoError(
            Rejection.NOT_A_PICTURE,
            f"an array of {' x '.join(map(str, shape))} is no photo: height x width x RGB is",
        )
    if min(shape[:2]) < 1:
        raise PhotoError(Rejection.EMPTY, "this array has no pixels")
    if shape[0] * shape[1] > MAX_PIXELS or max(shape[:2]) > MAX_SIDE_PX:
        raise PhotoError(Rejection.TOO_MANY_PIXELS, f"{shape[1]} x {shape[0]} px is too large")
