"""What a file is, how large its picture is and what decoding it takes, before any decoding.

Owns the formats that doggo reads and their headers. Knows nothing of pixels, nor of what is too
much (`limits.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import av1, gif, isobmff, jpeg, png, tiff, webp
from doggo.vision.exif import UPRIGHT
from doggo.vision.refusal import truncated

MAX_BYTES = 20 * 2**20


class Format(StrEnum):
    """The formats that doggo reads; the value is the file extension."""

    JPEG = "jpg"
    PNG = "png"
    WEBP = "webp"
    HEIF = "heic"
    AVIF = "avif"
    GIF = "gif"
    TIFF = "tif"
    BMP = "bmp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        width_px, height_px: upright size, orientation applied.
        orientation: EXIF orientation (1 to 8) still to be applied to the decoded pixels.
        bytes_per_pixel: memory that decoding takes for each pixel of the full size.
        decode_s: estimated time of decoding, from sizes and measurements (docs/photos.md).
        scaled: whether the decoder can skip detail that is not needed (JPEG).
        anatomy: of a JPEG, so that it is read once and not by every step.
    """

    format: Format
    width_px: int
    height_px: int
    orientation: int = UPRIGHT
    bytes_per_pixel: float
    decode_s: float
    scaled: bool = False
    anatomy: jpeg.Anatomy | None = field(default=None, repr=False, compare=False)

    @property
    def pixels(self) -> int:
        """Pixels of the picture."""
        return self.width_px * self.height_px


_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEVC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_GENERIC_BRANDS = frozenset({b"mif1", b"msf1"})


def sniff(data: bytes) -> Format:
    """Return the format of the bytes, judged by content.

    Raises:
        PhotoError: EMPTY, TOO_MANY_BYTES or NOT_A_PICTURE.
    """
    if not data:
        raise PhotoError(Rejection.EMPTY, "the file is empty: send the picture itself")
    if len(data) > MAX_BYTES:
        raise PhotoError(
            Rejection.TOO_MANY_BYTES,
            f"the file has {len(data) / 2**20:.1f} MiB; at most {MAX_BYTES // 2**20} MiB are read: "
            "save it smaller",
        )
    found = _format_of(data)
    if found is None:
        raise PhotoError(
            Rejection.NOT_A_PICTURE,
            "this is not a picture that doggo reads: send a JPEG, PNG, WebP, HEIC, AVIF, GIF, "
            "TIFF or BMP",
        )
    return found


_MAGIC = (
    (b"\xff\xd8\xff", Format.JPEG),
    (png.SIGNATURE, Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"BM", Format.BMP),
)


def _format_of(data: bytes) -> Format | None:
    for magic, found in _MAGIC:
        if data.startswith(magic):
            return found
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp":
        return _format_of_brands(data)
    return None


def _format_of_brands(data: bytes) -> Format | None:
    brands = data[8 : min(int.from_bytes(data[:4]), 512)]
    names = [brands[at : at + 4] for at in (0, *range(8, len(brands), 4))]
    for name in names:
        if name in _AVIF_BRANDS:
            return Format.AVIF
        if name in _HEVC_BRANDS:
            return Format.HEIF
    return Format.HEIF if _GENERIC_BRANDS & set(names) else None


def parse_header(data: bytes) -> Header:
    """Return what the file says of its picture; checks only that it makes sense.

    Raises:
        PhotoError: if the bytes are no picture that doggo reads, or are damaged.
    """
    found = sniff(data)
    try:
        header = _READERS[found](data)
    except (struct.error, IndexError) as error:
        raise truncated(found.name) from error
    if not header.width_px or not header.height_px:
        size = f"{header.width_px} x {header.height_px} px"
        raise PhotoError(Rejection.BROKEN, f"this {found.name} is empty ({size}): save it again")
    return header


def _jpeg_header(data: bytes) -> Header:
    anatomy = jpeg.read_anatomy(data)
    frame, orientation = anatomy.frame, anatomy.orientation
    width_px, height_px = _turned(frame.width_px, frame.height_px, orientation)
    pixels = frame.width_px * frame.height_px
    progressive = frame.marker in jpeg.PROGRESSIVE
    scans = jpeg.scans(data, anatomy.segments)
    # Several scans, or one that lacks a component: every coefficient (2 bytes) is kept until the
    # last, every scan visits all.
    in_parts = progressive or len(scans) > 1 or any(len(ids) < len(frame.sampling) for ids in scans)
    scan_samples = jpeg.scan_samples(scans, frame) if in_parts else 0.0
    per_byte_s = 150e-9 if frame.marker in jpeg.ARITHMETIC else 45e-9 if progressive else 15e-9
    return Header(
        format=Format.JPEG,
        width_px=width_px,
        height_px=height_px,
        orientation=orientation,
        bytes_per_pixel=2.1 * frame.samples if in_parts else 0.0,
        decode_s=len(data) * per_byte_s + pixels * (1e-9 + 0.7e-9 * scan_samples),
        scaled=True,
        anatomy=anatomy,
    )


def _png_header(data: bytes) -> Header:
    info = png.read_info(data)
    width_px, height_px = _turned(info.width_px, info.height_px, info.orientation)
    pixels = info.width_px * info.height_px
    raw_bytes = pixels * max(8, info.bits_per_pixel) / 8  # fewer bits are unpacked to whole bytes
    return Header(
        format=Format.PNG,
        width_px=width_px,
        height_px=height_px,
        orientation=info.orientation,
        bytes_per_pixel=info.decoded_bytes_per_pixel,
        decode_s=len(data) * 12e-9
        + raw_bytes * (6e-9 if info.interlaced else 3e-9)
        + pixels * (8e-9 if info.one_is_clear else 0.0),
    )


def _webp_header(data: bytes) -> Header:
    info = webp.read_info(data)
    width_px, height_px = _turned(info.width_px, info.height_px, info.orientation)
    return Header(
        format=Format.WEBP,
        width_px=width_px,
        height_px=height_px,
        orientation=info.orientation,
        # Two canvases and one copy out of 4 bytes each; lossless decoding keeps one more.
        bytes_per_pixel=16.0 if info.lossless else 12.0,
        decode_s=len(data) * 40e-9 + info.width_px * info.height_px * 22e-9,
    )


def _heif_header(data: bytes) -> Header:
    found = sniff(data)
    stream = _av1_stream(data)
    info = _with_stream(isobmff.read_info(data), stream)
    # Beside the picture's stream may be its transparency, a thumbnail and a film of both.
    pixels = max(info.width_px * info.height_px, stream.pixels // 2 if stream else 0)
    if found is Format.AVIF:
        bytes_per_pixel = 7.7 + info.samples * (2 if info.deep else 1) + 2.6 * info.transparent
        decode_s = len(data) * 80e-9 + pixels * 22e-9
    else:
        bytes_per_pixel = (3.6 if info.tiled else 5.0) + info.samples * (2 if info.deep else 1)
        decode_s = len(data) * 90e-9 + pixels * 27e-9
    return Header(
        format=found,
        width_px=info.width_px,
        height_px=info.height_px,
        bytes_per_pixel=bytes_per_pixel,
        decode_s=decode_s,
    )


def _av1_stream(data: bytes) -> av1.Stream | None:
    try:
        return av1.read_streams(isobmff.coded(data, b"av01"))
    except ValueError as error:
        raise PhotoError(
            Rejection.BROKEN, f"this picture's AV1 stream is damaged ({error}): save it again"
        ) from error


def _with_stream(info: isobmff.Info, stream: av1.Stream | None) -> isobmff.Info:
    """Decoders go by the AV1 stream, and only then by what the file says of it.

    HEIC needs no such reading: libheif refuses a stream that is larger than the file says.
    """
    if stream is None:
        return info
    if stream.width_px * stream.height_px > info.width_px * info.height_px:
        info = replace(info, width_px=stream.width_px, height_px=stream.height_px)
    samples = max(info.samples, stream.samples * (2 if stream.grain else 1))
    return replace(info, samples=samples, deep=info.deep or stream.deep)


def _gif_header(data: bytes) -> Header:
    width_px, height_px = gif.read_size(data)
    return Header(
        format=Format.GIF,
        width_px=width_px,
        height_px=height_px,
        bytes_per_pixel=5.0,
        # Most of it goes into the PNG that intake keeps, also of a TIFF. Both as in a slow hour of
        # a shared machine (up to 77 and 70 ns a pixel; 37 and 43 in a quick one, November 2026).
        decode_s=len(data) * 10e-9 + width_px * height_px * 90e-9,
    )


def _bmp_header(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width_px, height_px, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width_px, height_px, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    width_px, height_px = max(width_px, 0), abs(height_px)
    run_length = compression in (1, 2)
    return Header(
        format=Format.BMP,
        width_px=width_px,
        height_px=height_px,
        bytes_per_pixel=3.0 if run_length else 1.0 if bits <= 8 else 4.0,
        # Pillow unpacks run lengths in Python, pixel by pixel: 250 ns a byte for records that
        # draw little, 120 ns a pixel for rows that hold little (November 2026).
        decode_s=len(data) * (250e-9 if run_length else 10e-9)
        + width_px * height_px * (120e-9 if run_length else 2e-9),
    )


def _tiff_header(data: bytes) -> Header:
    info = tiff.read_info(data)
    width_px, height_px = _turned(info.width_px, info.height_px, info.orientation)
    return Header(
        format=Format.TIFF,
        width_px=width_px,
        height_px=height_px,
        # Pillow turns TIFFs upright itself: `orientation` stays 1. The picture and beside it
        # either one decoded part or the copy that is stored as PNG.
        bytes_per_pixel=4.0 + max(4.5, info.part_bytes / max(1, width_px * height_px)),
        decode_s=len(data) * 20e-9 + width_px * height_px * 80e-9,
    )


def _turned(width_px: int, height_px: int, orientation: int) -> tuple[int, int]:
    return (height_px, width_px) if 5 <= orientation <= 8 else (width_px, height_px)


_READERS: dict[Format, Callable[[bytes], Header]] = {
    Format.JPEG: _jpeg_header,
    Format.PNG: _png_header,
    Format.WEBP: _webp_header,
    Format.HEIF: _heif_header,
    Format.AVIF: _heif_header,
    Format.GIF: _gif_header,
    Format.TIFF: _tiff_header,
    Format.BMP: _bmp_header,
}
