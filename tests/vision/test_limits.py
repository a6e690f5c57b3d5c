"""Files that say one size and hold another, and pictures that take the most memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.pictures import encode, picture

from doggo.core.errors import PhotoError, Rejection
from doggo.vision.header import Format, Header
from doggo.vision.isobmff import coded
from doggo.vision.limits import check_opened
from doggo.vision.photo import canonical, prepare, read_header

MOST_MIB = 150

# Prints what `canonical` and `prepare` say of a file, and by how many MiB the peak has grown.
_CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from doggo.core.errors import PhotoError
from doggo.vision import photo

def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

warm, file = (Path(name).read_bytes() for name in sys.argv[1:])
photo.prepare(warm)
before, said = peak_mib(), []
for step in (photo.canonical, photo.prepare):
    try:
        step(file)
        said.append("")
    except PhotoError as error:
        said.append(str(error.rejection))
print(json.dumps([said, peak_mib() - before]))
"""


def taken(folder: Path, data: bytes) -> tuple[list[str], float]:
    """What is said of a file, and the MiB that it takes in a process of its own."""
    warm, file = folder / "warm", folder / "file"
    warm.write_bytes(encode(picture(), "PNG"))
    file.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(warm), str(file)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    said, grown_mib = json.loads(done.stdout)
    return said, grown_mib


def tiff(*entries: tuple[int, int, int, int], body: bytes = b"") -> bytes:
    """A TIFF of entries (tag, type, count, value); the value -1 means where the body lies."""
    start = 8 + 2 + 12 * len(entries) + 4
    packed = b"".join(
        struct.pack("<HHI", tag, kind, count)
        + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<i", value))
        for tag, kind, count, value in (
            (*rest, start if value == -1 else value) for *rest, value in entries
        )
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + body


def grey_tiff(*sizes: tuple[int, int, int, int], rows: int, body: bytes) -> bytes:
    return tiff(
        *sizes, (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, -1), (277, 3, 1, 1),
        (278, 4, 1, rows), (279, 4, 1, len(body)), body=body,
    )  # fmt: skip


def two_sized_tiff(kind: int) -> bytes:
    """It is 12,000 px wide by its first entry, of this type, and 100 px by its second."""
    sizes = [
        (tag, a_kind, 1, side) for tag in (256, 257) for a_kind, side in ((kind, 12_000), (3, 100))
    ]
    return grey_tiff(*sizes, rows=12_000, body=zlib.compress(bytes(12_000**2)))


def large_tiled_tiff() -> bytes:
    """A picture of 100 px a side within one tile of 16,384."""
    body = zlib.compress(bytes(16_384**2))
    return tiff(
        (256, 3, 1, 100), (257, 3, 1, 100), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
        (277, 3, 1, 1), (322, 4, 1, 16_384), (323, 4, 1, 16_384), (324, 4, 1, -1),
        (325, 4, 1, len(body)), body=body,
    )  # fmt: skip


def deep_tiff() -> bytes:
    """16 bits a channel in one strip: 8 bytes a pixel beside Pillow's 4."""
    width_px, height_px = 4000, 3990
    body = zlib.compress(bytes(width_px * height_px * 8))
    depths = struct.pack("<4H", 16, 16, 16, 16)
    entries = (
        (256, 3, 1, width_px), (257, 3, 1, height_px), (258, 3, 4, 8 + 2 + 12 * 10 + 4),
        (259, 3, 1, 8), (262, 3, 1, 2), (273, 4, 1, 8 + 2 + 12 * 10 + 4 + len(depths)),
        (277, 3, 1, 4), (278, 4, 1, height_px), (279, 4, 1, len(body)), (338, 3, 1, 2),
    )  # fmt: skip
    ordinary = tiff(*((tag, 4 if tag == 258 else kind, n, v) for tag, kind, n, v in entries))
    # The type of entry 258 is SHORT, whose place is told as a LONG.
    at = 8 + 2 + 12 * 2 + 2
    return ordinary[:at] + struct.pack("<H", 3) + ordinary[at + 2 :] + depths + body


def two_headed_png() -> bytes:
    """Grey by its first header, and by its second, of the same size, of four channels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    side_px = 8000
    heads = [struct.pack(">IIBBBBB", side_px, side_px, 8, colour, 0, 0, 0) for colour in (0, 6)]
    rows = zlib.compress(bytes(side_px * (4 * side_px + 1)), 1)
    chunks = [*((b"IHDR", head) for head in heads), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


def small_said_avif(*, film: bool) -> bytes:
    """All that the file says of itself is 100 x 80 px; its AV1 frames have 30 megapixels."""
    large = Image.new("RGB", (6000, 5000), (120, 130, 140))
    options = {"save_all": True, "append_images": [large.rotate(180)]} if film else {}
    file = encode(large, "AVIF", speed=10, quality=20, subsampling="4:4:4", **options)
    for layout, factor in ((">II", 1), (">II", 1 << 16), (">HH", 1)):
        said = struct.pack(layout, 6000 * factor, 5000 * factor)
        file = file.replace(said, struct.pack(layout, 100 * factor, 80 * factor))
    return file


@pytest.mark.parametrize(
    ("file_of", "rejection"),
    [
        (lambda: two_sized_tiff(4), "broken"),
        (lambda: two_sized_tiff(9), "broken"),
        (large_tiled_tiff, "too_many_pixels"),
        (deep_tiff, "too_many_pixels"),
        (two_headed_png, "broken"),
        (lambda: small_said_avif(film=False), "too_many_pixels"),
        (lambda: small_said_avif(film=True), "too_many_pixels"),
    ],
    ids=["tiff", "tiff of types", "tile", "deep tiff", "png", "avif", "avif film"],
)
def test_a_picture_larger_than_it_says_is_refused_before_it_is_decoded(
    file_of: object, rejection: str, tmp_path: Path
) -> None:
    assert callable(file_of)
    said, grown_mib = taken(tmp_path, file_of())
    assert said == [rejection] * 2
    assert grown_mib < 25


def tall(mode: str) -> Image.Image:
    """The narrow side is just too short to be averaged in boxes before its colours are."""
    row_HWC = np.arange(1020 * 4).reshape(1, 1020, 4) % 251
    pixels_HWC = (row_HWC + np.arange(0, 20_000)[:, None, None] // 100).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels_HWC[..., 0].astype(np.uint16) * 257)
    if mode == "P":
        image = Image.fromarray(pixels_HWC[..., 0] % 16).convert("P")
        image.info["transparency"] = 3
        return image
    return Image.fromarray(pixels_HWC[..., : len(mode)].squeeze(), mode)


@pytest.mark.parametrize("mode", ["I;16", "P", "RGBA", "RGB"])
def test_a_tall_picture_is_converted_in_parts(mode: str, tmp_path: Path) -> None:
    said, grown_mib = taken(tmp_path, encode(tall(mode), "PNG", compress_level=1))
    assert said == ["", ""]
    assert grown_mib < MOST_MIB


@pytest.mark.parametrize("kind", ["transparent", "grain"])
def test_what_an_avif_takes_beside_its_frame_counts(kind: str, tmp_path: Path) -> None:
    options = {"advanced": {"film-grain-test": "1"}} if kind == "grain" else {}
    large = Image.new("RGBA" if kind == "transparent" else "RGB", (4000, 3900), (90, 90, 90))
    if kind == "transparent":
        large.putalpha(Image.effect_noise((400, 390), 9).resize((4000, 3900)))
    said, grown_mib = taken(tmp_path, encode(large, "AVIF", speed=10, quality=20, **options))
    assert said == ["too_many_pixels"] * 2
    assert grown_mib < 25
    small = encode(large.crop((0, 0, 400, 390)), "AVIF", speed=10, **options)
    assert canonical(small).shape == (256, 263, 3)


def test_what_a_decoder_opens_may_be_smaller_but_not_larger_than_the_header_says() -> None:
    header = Header(
        format=Format.GIF, width_px=300, height_px=200, bytes_per_pixel=5.0, decode_s=0.1
    )
    for size in ((300, 200), (200, 300), (10, 10)):
        check_opened(header, size)
    for size in ((301, 200), (9000, 9000), (30_000, 1)):
        with pytest.raises(PhotoError, match="it says 300 x 200 px and") as caught:
            check_opened(header, size)
        assert caught.value.rejection is Rejection.BROKEN


def test_a_gif_whose_header_hides_its_frame_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from doggo.vision import photo

    file = encode(Image.new("P", (600, 500), 1), "GIF")
    believed = Header(
        format=Format.GIF, width_px=300, height_px=200, bytes_per_pixel=5.0, decode_s=0.1
    )
    monkeypatch.setattr(photo, "parse_header", lambda data: believed)
    for step in (canonical, prepare):
        with pytest.raises(PhotoError, match="300 x 200 px and 600 x 500 px"):
            step(file)


def test_the_time_of_frames_that_are_never_shown_counts() -> None:
    file = encode(Image.new("RGB", (3000, 3000), (90, 90, 90)), "AVIF", speed=10, quality=20)
    (stream,) = coded(file, b"av01")
    start = file.index(stream)
    tail = stream[stream.index(b"\x32") :]  # an open bitstream unit that is a frame
    longer = bytearray(file[:start] + stream + tail * 12)
    place = longer.index(struct.pack(">II", start, len(stream)))
    longer[place + 4 : place + 8] = struct.pack(">I", len(stream) + 12 * len(tail))
    assert read_header(file).decode_s < 0.3
    with pytest.raises(PhotoError) as caught:
        read_header(bytes(longer))
    assert caught.value.rejection is Rejection.TOO_SLOW
