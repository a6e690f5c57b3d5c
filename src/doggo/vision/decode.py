"""Clean bytes of each format as small pixels, without holding the large picture twice.

Owns which library decodes what, scaled decoding and the reduction to the wanted short side.
Knows nothing of limits, orientation or what an error says to a person.

Arrays: H height, W width, C the three channels R, G, B.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
)

from doggo.vision import jpeg
from doggo.vision.colour import needs_transform, plain_mode, to_srgb
from doggo.vision.exif import ORIENTATION_TAG, UPRIGHT, turn_upright
from doggo.vision.header import Format, Header
from doggo.vision.limits import scale_divisor

_REDUCE_MARGIN = 2  # whole-number box reduction keeps twice the short side for the last resize
_BAND_PIXELS = 2_000_000

# These have no lossless clean form: `strip_metadata` stores their first frame as PNG.
RE_ENCODED = frozenset({Format.GIF, Format.TIFF})
# The classes and not Image.open: it would try every plugin, and warn about 90 MP pictures.
_PLUGINS: dict[Format, type[ImageFile.ImageFile]] = {
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.AVIF: AvifImagePlugin.AvifImageFile,
    Format.GIF: GifImagePlugin.GifImageFile,
    Format.TIFF: TiffImagePlugin.TiffImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
}
Band = Callable[[int, int], Image.Image]  # rows from, rows to -> those rows, all columns


def decode_small(data: bytes, header: Header, short_side_px: int) -> NDArray[np.uint8]:
    """Return sRGB pixels [H, W, 3], short side at most `short_side_px`, not turned by EXIF.

    Args:
        data: cleaned by `without_metadata`: no decoder meets metadata.
        header: what `parse_header` said of the file before.

    Raises:
        Exception: whatever the decoder finds wrong; `refusal.explained` translates it.
    """
    found = header.format
    if header.anatomy is not None:
        return _decode_jpeg(data, header.anatomy, short_side_px)
    if found is Format.WEBP:
        return _decode_webp(data, short_side_px)
    if found is Format.HEIF:
        return _decode_heif(data, short_side_px)
    with _PLUGINS[found](io.BytesIO(data)) as image:
        image.load()
        prepare = _flat if found in RE_ENCODED else plain_mode
        profile = None if found in RE_ENCODED else image.info.get("icc_profile")
        small = _shrink(image.size, short_side_px, _bands_of(image, prepare))
        image_HWC = _pixels(small, profile)
        if found is Format.AVIF:  # Pillow leaves the file's own turns to us, told as EXIF
            return turn_upright(image_HWC, image.getexif().get(ORIENTATION_TAG, UPRIGHT))
        return image_HWC


def full_frame(data: bytes, found: Format) -> Image.Image:
    """Return the first frame of a GIF or TIFF at full size, 8-bit sRGB, on white.

    Raises:
        Exception: whatever the decoder finds wrong.
    """
    with _PLUGINS[found](io.BytesIO(data)) as image:
        image.load()
        band, (width_px, height_px) = _bands_of(image, _flat), image.size
        frame = Image.new("RGB", (width_px, height_px))
        rows = max(1, _BAND_PIXELS // width_px)
        for top in range(0, height_px, rows):
            frame.paste(band(top, min(top + rows, height_px)), (0, top))
        return frame


def small_frame(frame: Image.Image, short_side_px: int) -> NDArray[np.uint8]:
    """Return what `decode_small` gives of the file that `full_frame` was made of.

    It is also what it gives of the PNG made of that frame, without decoding it again.
    """

    def band(top: int, bottom: int) -> Image.Image:
        return frame.crop((0, top, frame.width, bottom))

    return np.array(_shrink(frame.size, short_side_px, band))


def target_size(width_px: int, height_px: int, short_side_px: int) -> tuple[int, int]:
    """Return the size whose short side is `short_side_px`, or the size itself if smaller."""
    short, long = sorted((width_px, height_px))
    if short <= short_side_px:
        return width_px, height_px
    scaled = (2 * long * short_side_px + short) // (2 * short)
    return (short_side_px, scaled) if width_px <= height_px else (scaled, short_side_px)


def _flat(image: Image.Image) -> Image.Image:
    """All colour work at full size: reducing this or the PNG made of it is the same."""
    return to_srgb(plain_mode(image), image.info.get("icc_profile"))


def _bands_of(image: Image.Image, prepare: Callable[[Image.Image], Image.Image]) -> Band:
    def band(top: int, bottom: int) -> Image.Image:
        if (top, bottom) == (0, image.height):
            return prepare(image)
        return prepare(image.crop((0, top, image.width, bottom)))

    return band


def _shrink(size: tuple[int, int], short_side_px: int, band: Band) -> Image.Image:
    """Reduce band by band, so that converted copies of the large picture never exist."""
    width_px, height_px = size
    target = target_size(width_px, height_px, short_side_px)
    factor = min(size) // (_REDUCE_MARGIN * short_side_px)
    if factor < 2:
        return _resize(band(0, height_px), target)
    rows = max(1, _BAND_PIXELS // (width_px * factor)) * factor
    parts = [
        band(top, min(top + rows, height_px)).reduce(factor) for top in range(0, height_px, rows)
    ]
    reduced = Image.new(parts[0].mode, (parts[0].width, -(-height_px // factor)))
    for index, part in enumerate(parts):
        reduced.paste(part, (0, index * rows // factor))
    return _resize(reduced, target, (0, 0, width_px / factor, height_px / factor))


def _resize(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, box=box)


def _pixels(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    return np.array(to_srgb(image, profile))


def _decode_jpeg(data: bytes, anatomy: jpeg.Anatomy, short_side_px: int) -> NDArray[np.uint8]:
    frame, profile = anatomy.frame, anatomy.profile
    size = target_size(frame.width_px, frame.height_px, short_side_px)
    divisor = scale_divisor(min(frame.width_px, frame.height_px), short_side_px)
    if not _is_common(data):
        image = _draft(data, frame, divisor)
    else:
        pixels_HWC = _turbo(data, frame, divisor)
        if pixels_HWC.shape[1::-1] == size and not needs_transform(profile, "RGB"):
            return pixels_HWC
        image = Image.fromarray(pixels_HWC)
    box = (0.0, 0.0, frame.width_px / divisor, frame.height_px / divisor)
    return _pixels(_resize(image, size, box), profile)


def _is_common(data: bytes) -> bool:
    """Whether libjpeg-turbo's own interface decodes it: 8 bits, grey, YCbCr or RGB."""
    try:
        _, _, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    return colour in {"Gray", "YCbCr", "RGB"}


def _turbo(data: bytes, frame: jpeg.Frame, divisor: int) -> NDArray[np.uint8]:
    pixels_HWC: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data,
        min_height=-(-frame.height_px // divisor),
        min_width=-(-frame.width_px // divisor),
    )
    return pixels_HWC


def _draft(data: bytes, frame: jpeg.Frame, divisor: int) -> Image.Image:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        image.draft(None, (frame.width_px // divisor, frame.height_px // divisor))
        image.load()
        return plain_mode(image)


def _decode_webp(data: bytes, short_side_px: int) -> NDArray[np.uint8]:
    # Pillow's WebPImageFile keeps 16 bytes a pixel at its peak, its decoder alone 12: phone-size
    # photos fit the memory limit only so.
    from PIL import _webp

    decoder = _webp.WebPAnimDecoder(data)
    size, _, _, _, mode = decoder.get_info()
    profile = decoder.get_chunk("ICCP")
    frame = decoder.get_next()
    if frame is None:
        raise ValueError("its first frame cannot be decoded")
    del decoder
    pixels_HWC = np.frombuffer(frame[0], np.uint8).reshape(size[1], size[0], 4)
    return _pixels(_shrink(size, short_side_px, _bands_of_array(pixels_HWC, mode)), profile)


def _bands_of_array(pixels_HWC: NDArray[np.uint8], mode: str) -> Band:
    def band(top: int, bottom: int) -> Image.Image:
        rows_HWC = pixels_HWC[top:bottom]
        if mode == "RGBX":
            rows_HWC = rows_HWC[:, :, :3]
        elif mode == "L":
            rows_HWC = rows_HWC[:, :, 0]
        return Image.fromarray(np.ascontiguousarray(rows_HWC))

    return band


def _decode_heif(data: bytes, short_side_px: int) -> NDArray[np.uint8]:
    import pillow_heif

    picture = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[picture.mode]
    raw = picture.data
    width_px, height_px = picture.size
    rows_HS = np.frombuffer(raw, np.uint8).reshape(height_px, picture.stride)
    pixels_HWC = rows_HS[:, : width_px * channels].reshape(height_px, width_px, channels)
    profile = picture.info.get("icc_profile")
    band = _bands_of_array(pixels_HWC, picture.mode)
    return _pixels(_shrink(picture.size, short_side_px, band), profile)
