"""The layout of TIFFs, read without decoding."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from doggo.core.errors import PhotoError
from doggo.vision import tiff

WIDTH, HEIGHT, STRIPS, ORIENTATION = 256, 257, 273, 274
SHORT, LONG, RATIONAL = 3, 4, 5


def written(size_px: tuple[int, int], **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size_px, "brown").save(file, "TIFF", **options)
    return file.getvalue()


def directory(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """A file of one directory of entries (tag, type, count, value)."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    body = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        form = "HHIHxx" if kind == SHORT else "HHII"
        body += struct.pack(order + form, tag, kind, count, value)
    return head + body + bytes(4)


def test_what_pillow_wrote_is_read() -> None:
    plain = tiff.read_info(written((30, 20)))
    assert plain == tiff.Info(width_px=30, height_px=20, orientation=1, part_bytes=0.0)
    packed = tiff.read_info(written((30, 20), compression="tiff_lzw", tiffinfo={ORIENTATION: 6}))
    assert (packed.width_px, packed.height_px, packed.orientation) == (30, 20, 6)
    assert packed.part_bytes == 30 * 20 * 4.0


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_both_byte_orders_and_both_whole_numbers_are_read(order: str, kind: int) -> None:
    info = tiff.read_info(directory((WIDTH, kind, 1, 300), (HEIGHT, kind, 1, 200), order=order))
    assert (info.width_px, info.height_px, info.orientation) == (300, 200, 1)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(WIDTH, SHORT, 1, 3), (WIDTH, SHORT, 1, 30_000)], "broken"),
        ([(WIDTH, RATIONAL, 1, 8)], "broken"),
        ([(STRIPS, LONG, 20_001, 8)], "too_slow"),
    ],
)
def test_a_layout_that_decoders_disagree_on_or_drown_in_is_refused(
    entries: list[tuple[int, int, int, int]], reason: str
) -> None:
    with pytest.raises(PhotoError) as refused:
        tiff.read_info(directory(*entries))
    assert refused.value.rejection == reason


def test_one_that_is_cut_short_says_so() -> None:
    with pytest.raises(struct.error):
        tiff.read_info(directory((WIDTH, SHORT, 1, 3))[:12])
