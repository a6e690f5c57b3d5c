"""Clean bytes of each format as small pixels, without holding the large picture twice.

Owns which library decodes what, scaled decoding and the reduction to the wanted short side.
Knows nothing of limits, orientation or what an error says to a person.

Arrays: H height, W width, C the three channels R, G, B.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from itertools import chain

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
from doggo.vision.limits import MAX_DECODE_S, check_opened, scale_divisor

_REDUCE_MARGIN = 2  # whole-number box reduction keeps twice the short side for the last resize
_BAND_PIXELS = 2_000_000
# libjpeg's warning of filler between the last pixel and the end mark, which some cameras and
# editors write: the first thing it finds, so all of the picture is there.
_FILLER = "extraneous bytes before marker 0xd9"

# These have no lossless clean form: `photo.prepare` stores their first frame as PNG.
RE_ENCODED = frozenset({Format.GIF, Format.TIFF})
# The classes and not Image.open: it would try every plugin, and warn about 90 MP pictures.
_PLUGINS: dict[Format, type[ImageFile.ImageFile]] = {
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.AVIF: AvifImagePlugin.AvifImageFile,
    Format.GIF: GifImagePlugin.GifImageFile,
    Format.TIFF: TiffImagePlugin.TiffImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
}
Box = tuple[int, int, int, int]  # left, top, right, bottom
Part = Callable[[Box], Image.Image]  # of a large picture, with its colours prepared


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
        return _decode_jpeg(data, header, header.anatomy, short_side_px)
    if found is Format.WEBP:
        return _decode_webp(data, header, short_side_px)
    if found is Format.HEIF:
        return _decode_heif(data, header, short_side_px)
    with _PLUGINS[found](io.BytesIO(data)) as image:
        check_opened(header, image.size)
        image.load()
        prepare = _flat if found in RE_ENCODED else plain_mode
        profile = None if found in RE_ENCODED else image.info.get("icc_profile")
        small = _shrink(image.size, short_side_px, _parts_of(image, prepare))
        image_HWC = _pixels(small, profile)
        if found is Format.AVIF:  # Pillow leaves the file's own turns to us, told as EXIF
            return turn_upright(image_HWC, image.getexif().get(ORIENTATION_TAG, UPRIGHT))
        return image_HWC


def full_frame(data: bytes, header: Header) -> Image.Image:
    """Return the first frame of a GIF or TIFF at full size, 8-bit sRGB, on white.

    Raises:
        Exception: whatever the decoder finds wrong.
    """
    with _PLUGINS[header.format](io.BytesIO(data)) as image:
        check_opened(header, image.size)
        image.load()
        part, (width_px, height_px) = _parts_of(image, _flat), image.size
        frame = Image.new("RGB", (width_px, height_px))
        for top, bottom in _spans(height_px, width_px):
            frame.paste(part((0, top, width_px, bottom)), (0, top))
        return frame


def small_frame(frame: Image.Image, short_side_px: int) -> NDArray[np.uint8]:
    """Return what `decode_small` gives of the file that `full_frame` was made of.

    It is also what it gives of the PNG made of that frame, without decoding it again.
    """
    return np.array(_shrink(frame.size, short_side_px, frame.crop))


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


def _parts_of(image: Image.Image, prepare: Callable[[Image.Image], Image.Image]) -> Part:
    def part(box: Box) -> Image.Image:
        return prepare(image if box == (0, 0, *image.size) else image.crop(box))

    return part


def _shrink(size: tuple[int, int], short_side_px: int, part: Part) -> Image.Image:
    """Reduce part by part, so that converted copies of the large picture never exist."""
    width_px, height_px = size
    target = target_size(width_px, height_px, short_side_px)
    factor = min(size) // (_REDUCE_MARGIN * short_side_px)
    if factor < 2:
        return _resize_parts(size, target, part)
    rows = max(1, _BAND_PIXELS // (width_px * factor)) * factor
    parts = [
        part((0, top, width_px, min(top + rows, height_px))).reduce(factor)
        for top in range(0, height_px, rows)
    ]
    reduced = Image.new(parts[0].mode, (parts[0].width, -(-height_px // factor)))
    for index, band in enumerate(parts):
        reduced.paste(band, (0, index * rows // factor))
    return _resize(reduced, target, (0, 0, width_px / factor, height_px / factor))


def _resize_parts(size: tuple[int, int], target: tuple[int, int], part: Part) -> Image.Image:
    """Return what `_resize` gives of the whole, bit for bit: its two passes one after the other."""
    width_px, height_px = size
    if width_px * height_px <= _BAND_PIXELS or size == target:
        return _resize(part((0, 0, width_px, height_px)), target)
    # Pillow 13 begins with the side that shrinks much more (python-pillow/Pillow#9549).
    if height_px - target[1] > 2 * (width_px - target[0]):
        between = (width_px, target[1])
        jobs = [((a, 0, b, height_px), (b - a, target[1])) for a, b in _spans(width_px, height_px)]
    else:
        between = (target[0], height_px)
        jobs = [((0, a, width_px, b), (target[0], b - a)) for a, b in _spans(height_px, width_px)]
    narrowed = (_resize(_weighted(part(box)), narrow) for box, narrow in jobs)
    first = next(narrowed)
    halfway = Image.new(first.mode, between)
    for (box, _), done in zip(jobs, chain([first], narrowed), strict=True):
        halfway.paste(done, box[:2])
    small = _resize(halfway, target)
    return small.convert("RGBA") if small.mode == "RGBa" else small


def _spans(length_px: int, across_px: int) -> list[tuple[int, int]]:
    step = max(1, _BAND_PIXELS // across_px)
    return [(start, min(start + step, length_px)) for start in range(0, length_px, step)]


def _weighted(image: Image.Image) -> Image.Image:
    """Colours times opacity, as Pillow itself does before a mean; twice would round twice."""
    return image.convert("RGBa") if image.mode == "RGBA" else image


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


def _decode_jpeg(
    data: bytes, header: Header, anatomy: jpeg.Anatomy, short_side_px: int
) -> NDArray[np.uint8]:
    frame, profile = anatomy.frame, anatomy.profile
    size = target_size(frame.width_px, frame.height_px, short_side_px)
    divisor = scale_divisor(min(frame.width_px, frame.height_px), short_side_px)
    if not _is_common(data, header):
        image = _draft(data, header, frame, divisor)
    else:
        pixels_HWC = _turbo(data, header, frame, divisor)
        if pixels_HWC.shape[1::-1] == size and not needs_transform(profile, "RGB"):
            return pixels_HWC
        image = Image.fromarray(pixels_HWC)
    box = (0.0, 0.0, frame.width_px / divisor, frame.height_px / divisor)
    return _pixels(_resize(image, size, box), profile)


def _is_common(data: bytes, header: Header) -> bool:
    """Whether libjpeg-turbo's own interface decodes it: 8 bits, grey, YCbCr or RGB."""
    try:
        height_px, width_px, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    check_opened(header, (width_px, height_px))
    return colour in {"Gray", "YCbCr", "RGB"}


def _turbo(data: bytes, header: Header, frame: jpeg.Frame, divisor: int) -> NDArray[np.uint8]:
    decode = partial(
        simplejpeg.decode_jpeg,
        data,
        min_height=-(-frame.height_px // divisor),
        min_width=-(-frame.width_px // divisor),
    )
    try:
        pixels_HWC: NDArray[np.uint8] = decode()
    except ValueError as error:
        if _FILLER not in str(error) or 2 * header.decode_s > MAX_DECODE_S:
            raise
        pixels_HWC = decode(strict=False)
    return pixels_HWC


def _draft(data: bytes, header: Header, frame: jpeg.Frame, divisor: int) -> Image.Image:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        check_opened(header, image.size)
        image.draft(None, (frame.width_px // divisor, frame.height_px // divisor))
        image.load()
        return plain_mode(image)


def _decode_webp(data: bytes, header: Header, short_side_px: int) -> NDArray[np.uint8]:
    # Pillow's WebPImageFile keeps 16 bytes a pixel at its peak, its decoder alone 12: phone-size
    # photos fit the memory limit only so.
    from PIL import _webp

    decoder = _webp.WebPAnimDecoder(data)
    size, _, _, _, mode = decoder.get_info()
    check_opened(header, size)
    profile = decoder.get_chunk("ICCP")
    frame = decoder.get_next()
    if frame is None:
        raise ValueError("its first frame cannot be decoded")
    del decoder
    pixels_HWC = np.frombuffer(frame[0], np.uint8).reshape(size[1], size[0], 4)
    return _pixels(_shrink(size, short_side_px, _parts_of_array(pixels_HWC, mode)), profile)


def _parts_of_array(pixels_HWC: NDArray[np.uint8], mode: str) -> Part:
    def part(box: Box) -> Image.Image:
        left, top, right, bottom = box
        part_HWC = pixels_HWC[top:bottom, left:right]
        if mode == "RGBX":
            part_HWC = part_HWC[:, :, :3]
        elif mode == "L":
            part_HWC = part_HWC[:, :, 0]
        return Image.fromarray(np.ascontiguousarray(part_HWC))

    return part


def _decode_heif(data: bytes, header: Header, short_side_px: int) -> NDArray[np.uint8]:
    import pillow_heif

    picture = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    check_opened(header, picture.size)
    raw = picture.data
    width_px, height_px = picture.size
    rows_HS = np.frombuffer(raw, np.uint8).reshape(height_px, picture.stride)
    mode = picture.mode
    if mode == "I;16":  # grey of more than 8 bits stays as it is, little-endian: the upper byte
        rows_HS, mode = rows_HS[:, 1::2], "L"
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    pixels_HWC = rows_HS[:, : width_px * channels].reshape(height_px, width_px, channels)
    profile = picture.info.get("icc_profile")
    part = _parts_of_array(pixels_HWC, mode)
    return _pixels(_shrink(picture.size, short_side_px, part), profile)
