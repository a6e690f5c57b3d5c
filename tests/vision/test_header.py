import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.pictures import encode, picture

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import header, jpeg, photo, png
from doggo.vision.limits import MAX_DECODE_S


def refused(data: bytes) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        photo.read_header(data)
    return caught.value


def in_scans(grey: Image.Image, scans: list[int]) -> bytes:
    """A baseline JPEG of three components, all like `grey`, one component a scan."""
    data = encode(grey, "JPEG")
    out = [b"\xff\xd8"]
    for segment in jpeg.split_segments(data):
        part = data[segment.start : segment.end]
        if segment.marker == jpeg.SOS:
            out += [part[:5] + bytes([name]) + part[6:] for name in scans]
        elif segment.marker in jpeg.FRAMES:
            parts = b"".join(bytes([name, 0x11, 0]) for name in (1, 2, 3))
            out.append(part[:2] + b"\0\x11" + part[4:9] + b"\3" + parts)
        else:
            out.append(part)
    return b"".join([*out, b"\xff\xd9"])


def test_a_jpeg_of_one_component_a_scan_is_read() -> None:
    grey = picture().convert("L")
    data = in_scans(grey, [1, 2, 3])
    with Image.open(io.BytesIO(data)) as image:
        full = image.convert("RGB").resize((341, 256), Image.Resampling.BICUBIC)
    assert np.abs(photo.canonical(data).astype(int) - np.asarray(full)).mean() < 2


@pytest.mark.parametrize("scans", [[1, 2, 3], [1], [3, 2]])
def test_coefficients_kept_between_scans_count_as_memory(scans: list[int]) -> None:
    large = in_scans(Image.new("L", (6_000, 5_000), 90), scans)
    assert header.parse_header(large).bytes_per_pixel == pytest.approx(6.3)
    assert refused(large).rejection is Rejection.TOO_MANY_PIXELS
    photo.read_header(in_scans(Image.new("L", (5_000, 4_000), 90), scans))


def test_a_jpeg_of_one_scan_keeps_no_coefficients() -> None:
    for mode in ("L", "RGB", "CMYK"):
        data = encode(Image.new(mode, (6_000, 5_000)), "JPEG")
        assert photo.read_header(data).bytes_per_pixel == 0


def test_components_of_one_name_count_as_the_largest() -> None:
    frame = jpeg.Frame(0xC2, 8, 100, 100, ((2, 2), (1, 1), (1, 1)), (1, 1, 1))
    assert jpeg.scan_samples([b"\1"] * 8, frame) == 8


def test_a_lossless_jpeg_is_refused() -> None:
    # libjpeg-turbo writes it past the end of a scaled array: reading one killed the process.
    data = encode(picture(), "JPEG").replace(b"\xff\xc0\0\x11", b"\xff\xc3\0\x11")
    error = refused(data)
    assert error.rejection is Rejection.BROKEN
    assert "lossless" in str(error)


def run_length_bmp(width_px: int, height_px: int, rows: bytes, bits: int = 8) -> bytes:
    palette = b"".join(bytes([shade, shade, shade, 0]) for shade in range(1 << bits))
    start = 54 + len(palette)
    kind = 1 if bits == 8 else 2
    numbers = (40, width_px, height_px, 1, bits, kind, len(rows), 2835, 2835, 1 << bits, 0)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *numbers) + palette + rows


@pytest.mark.parametrize("bits", [4, 8])
def test_a_run_length_bmp_is_judged_by_its_pixels(bits: int) -> None:
    short_rows = b"\1\5\0\0"  # one pixel and the end of the row
    small = run_length_bmp(600, 500, short_rows * 500, bits)
    assert photo.canonical(small).shape == (256, 307, 3)
    error = refused(run_length_bmp(5_000, 3_000, short_rows * 3_000, bits))
    assert error.rejection is Rejection.TOO_SLOW


def test_a_run_length_bmp_is_judged_by_its_bytes_too() -> None:
    nothing_drawn = b"\2\1" * 2_500_000
    assert refused(run_length_bmp(2, 2_000, nothing_drawn)).rejection is Rejection.TOO_SLOW


def test_a_palette_with_clear_entries_takes_time_a_pixel() -> None:
    def of(clear: bytes) -> bytes:
        size = struct.pack(">IIBBBBB", 9_990, 9_990, 1, 3, 0, 0, 0)
        rows = zlib.compress(bytes((1 + 9_990 // 8) * 9_990), 1)
        chunks = [(b"IHDR", size), (b"PLTE", bytes(6)), (b"tRNS", clear), (b"IDAT", rows)]
        made = [png.make_chunk(kind, body) for kind, body in chunks if body]
        return b"".join([png.SIGNATURE, *made, png.make_chunk(b"IEND", b"")])

    assert 0.2 < photo.read_header(of(b"")).decode_s < MAX_DECODE_S
    assert refused(of(b"\x80")).rejection is Rejection.TOO_SLOW
