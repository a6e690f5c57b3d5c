"""Bytes of a picture as canonical pixels: the one decoder that training and serving share.

Owns the order of the steps (limits, metadata away, decode and reduce, upright, owner's step) and
what a failure is called. Knows nothing of folders, labels or models.

Arrays: H height, W width, C the three channels R, G, B.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo import __version__
from doggo.core.errors import PhotoError, Rejection
from doggo.vision.decode import RE_ENCODED, decode_small, full_frame, small_frame
from doggo.vision.exif import turn_upright
from doggo.vision.header import MAX_BYTES, Format, Header, parse_header
from doggo.vision.limits import (
    DEFAULT_SHORT_SIDE_PX,
    MAX_PIXELS,
    MAX_SIDE_PX,
    check_limits,
)
from doggo.vision.metadata import as_png, without_metadata
from doggo.vision.refusal import explained
from doggo.vision.step import take_step

__all__ = [
    "DEFAULT_SHORT_SIDE_PX",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "Format",
    "Header",
    "Prepared",
    "canonical",
    "decoder_name",
    "prepare",
    "read_header",
    "read_limited",
    "reader_name",
]


def decoder_name() -> str:
    """Return the libraries that make the pixels, with versions: part of a manifest's identity."""
    from importlib.metadata import version

    return " ".join(
        f"{name}-{version(package)}"
        for name, package in (
            ("simplejpeg", "simplejpeg"),
            ("pillow", "pillow"),
            ("heif", "pillow-heif"),
        )
    )


@cache
def reader_name() -> str:
    """Return what a refusal depends on beside the file: this release's limits, and the decoder."""
    return f"doggo-{__version__} {decoder_name()}"


def canonical(data: bytes, short_side_px: int = DEFAULT_SHORT_SIDE_PX) -> NDArray[np.uint8]:
    """Return the photo as upright sRGB pixels, its short side at most `short_side_px`.

    Never upscaled. The same bytes give the same pixels on any machine with the same library
    versions, whatever the number of threads.

    Returns:
        uint8 [H, W, 3], contiguous; the owner's step (`step.py`) has run.

    Raises:
        PhotoError: for every picture that cannot be used, with the reason.
        StepError: the owner's step is not in order.
    """
    header = _checked(data, short_side_px)
    with explained(header.format.name):
        clean = without_metadata(data, header)
        image_HWC = decode_small(clean, header, short_side_px)
    return take_step(turn_upright(image_HWC, header.orientation))


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that intake wants of a picture.

    Attributes:
        clean, extension: the file without its metadata, and what its name ends in (no dot). GIF
            and TIFF become a PNG of their first frame at full size, 8-bit sRGB; every other format
            stays what it is. Preparing it again changes nothing.
        image_HWC: what `canonical` gives, of `data` and of `clean` alike.
    """

    header: Header
    clean: bytes
    extension: str
    image_HWC: NDArray[np.uint8]  # noqa: N815 - arrays carry their shape


def prepare(data: bytes, short_side_px: int = DEFAULT_SHORT_SIDE_PX) -> Prepared:
    """Return the header, the file without metadata and the canonical pixels, in one pass.

    Raises:
        PhotoError: for every picture that cannot be used, with the reason.
        StepError: the owner's step is not in order.
    """
    header = _checked(data, short_side_px)
    if header.format in RE_ENCODED:
        return _prepare_as_png(data, header, short_side_px)
    with explained(header.format.name):
        clean = without_metadata(data, header)
        image_HWC = decode_small(clean, header, short_side_px)
    image_HWC = take_step(turn_upright(image_HWC, header.orientation))
    return Prepared(header, clean, header.format.value, image_HWC)


def _prepare_as_png(data: bytes, header: Header, short_side_px: int) -> Prepared:
    with explained(header.format.name):
        frame = full_frame(data, header)
        clean = as_png(frame)
        image_HWC = small_frame(frame, short_side_px)
    _checked(clean, short_side_px)  # whoever reads it later meets the limits of a PNG
    return Prepared(header, clean, Format.PNG.value, take_step(image_HWC))


def read_limited(path: Path) -> bytes:
    """Return a file's bytes; one that is over the limit is not read at all.

    Raises:
        PhotoError: it is a folder or another thing that holds no picture, or it is over 20 MiB.
        OSError: the operating system will not let us read it.
    """
    if not path.is_file():
        raise PhotoError(Rejection.NOT_A_PICTURE, "this is not a file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise PhotoError(
            Rejection.TOO_MANY_BYTES,
            f"this file has over {MAX_BYTES // 2**20} MiB: send a smaller picture",
        )
    return data


def read_header(data: bytes) -> Header:
    """Return the format and upright size of a picture that is within all limits.

    Decodes nothing.

    Raises:
        PhotoError: if the bytes are no picture that doggo reads, or are over a limit.
    """
    return _checked(data, DEFAULT_SHORT_SIDE_PX)


def _checked(data: bytes, short_side_px: int) -> Header:
    header = parse_header(data)
    check_limits(header, len(data), short_side_px)
    return header
