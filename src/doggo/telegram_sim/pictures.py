"""Photos as Telegram keeps them: several JPEG sizes, the smallest first.

Owns the sizes and the decoding, once a photo; many messages may then share it.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field

from PIL import Image, ImageOps, UnidentifiedImageError

SIDES_PX = (90, 320, 800, 1280)
"""Longest sides of the sizes s, m, x and y (core.telegram.org/api/files)."""

_MOST_PIXELS = 100_000_000


class PictureError(ValueError):
    """These bytes cannot be a photo at Telegram."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """One size of a photo."""

    width: int
    height: int
    unique_id: str
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo in all its sizes, ready to be sent any number of times."""

    sizes: tuple[Size, ...]


def prepare(data: bytes) -> Prepared:
    """Return a photo in the sizes up to its own, smallest first.

    Raises:
        PictureError: not a picture that Pillow reads, or over 100 megapixels.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise PictureError("the picture has too many pixels")
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise PictureError(f"not a picture: {type(error).__name__}") from error
    longest = max(picture.size)
    sides = [side for side in SIDES_PX[:-1] if side < longest]
    sides.append(min(longest, SIDES_PX[-1]))
    return Prepared(tuple(_size(picture, side) for side in sides))


def unique_id(data: bytes) -> str:
    """Return the id that the same bytes always have."""
    return "AQAD" + hashlib.blake2b(data, digest_size=8).hexdigest()


def _size(picture: Image.Image, side: int) -> Size:
    scale = side / max(picture.size)
    width, height = (max(1, round(scale * length)) for length in picture.size)
    same = (width, height) == picture.size
    shown = picture if same else picture.resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=87)
    jpeg = out.getvalue()
    return Size(width=width, height=height, unique_id=unique_id(jpeg), jpeg=jpeg)
