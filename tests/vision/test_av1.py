"""AV1 headers, of real streams and of ones written bit by bit."""

from __future__ import annotations

import pytest
from tests.pictures import encode, picture

from doggo.vision import av1
from doggo.vision.isobmff import coded

SEQUENCE, FRAME = 1, 6


def unit(kind: int, bits: str) -> bytes:
    """An open bitstream unit of these bits; spaces are for the reader."""
    bits = bits.replace(" ", "") + "1"
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return bytes((kind << 3 | 2, len(body))) + body


def sequence(width_px: int, height_px: int, size_bits: int, *, model: bool = False) -> bytes:
    """A sequence header of a film, 4:2:0, whose frames may have sizes of their own."""
    timing = "0"
    if model:
        # Ticks, an unequal interval, then delays of 10, removal times of 8 and times of 7 bits.
        timing = f"1 {1:032b} {30:032b} 0 1 {9:05b} {1:032b} {7:05b} {6:05b}"
    point = f"{0:012b} {8:05b} 0" + (f" 1 {3:010b} {4:010b} 0" if model else "")
    size = f"{size_bits - 1:04b} {size_bits - 1:04b}"
    size += f" {width_px - 1:0{size_bits}b} {height_px - 1:0{size_bits}b}"
    tools = "0 000 0000 1 00 1 1 110"
    return unit(SEQUENCE, f"000 0 0 {timing} 0 {0:05b} {point} {size} {tools} 000 0 0 0 0 00 0 0")


def key_frame(*, own_size: bool, shown: bool = True, time: str = "") -> bytes:
    """The begin of a frame header."""
    seen = f"1 {time}" if shown else "0 1 0"
    return unit(FRAME, f"0 00 {seen} 0 0 {int(own_size)}")


@pytest.mark.parametrize(
    ("options", "samples"),
    [
        ({"subsampling": "4:2:0"}, 1.5),
        ({"subsampling": "4:2:2"}, 2.0),
        ({"subsampling": "4:4:4"}, 3.0),
        ({"subsampling": "4:0:0"}, 1.0),
        ({"advanced": {"film-grain-test": "1"}}, 1.5),
    ],
)
def test_a_pictures_stream_tells_its_size_samples_and_grain(
    options: dict[str, object], samples: float
) -> None:
    streams = coded(encode(picture(403, 301), "AVIF", speed=10, **options), b"av01")
    assert av1.read_streams(streams) == av1.Stream(
        403, 301, 403 * 301, samples, False, "advanced" in options
    )


def test_transparency_and_each_film_are_streams_too() -> None:
    see_through = picture(120, 90).convert("RGBA")
    file = encode(see_through, "AVIF", speed=10, save_all=True, append_images=[see_through] * 2)
    found = [av1.read_streams([stream]) for stream in coded(file, b"av01")]
    assert [(s.width_px, s.height_px, s.samples) for s in found if s] == [
        (120, 90, samples) for samples in (1.5, 1.0, 1.5, 1.0)
    ]


@pytest.mark.parametrize("model", [False, True])
def test_a_frame_with_a_size_of_its_own_counts_as_the_largest_possible(model: bool) -> None:
    head, time = sequence(100, 80, 14, model=model), f"{5:07b}" if model else ""
    plain = av1.read_streams([head + key_frame(own_size=False, time=time)])
    assert plain == av1.Stream(100, 80, 8000, 1.5, False, False)
    for frames, small in (
        (key_frame(own_size=True, time=time), 0),
        (key_frame(own_size=False, time=time) + key_frame(own_size=True, time=time), 1),
        (key_frame(own_size=True, shown=False) + key_frame(own_size=False, time=time), 1),
    ):
        assert av1.read_streams([head + frames]) == av1.Stream(
            16_384, 16_384, 2**28 + small * 8000, 1.5, False, False
        )


def test_the_largest_of_several_sequences_counts() -> None:
    small, large = sequence(100, 80, 7), sequence(5000, 4000, 13)
    for stream in (small + large, large + small):
        found = av1.read_streams([stream])
        assert found is not None
        assert (found.width_px, found.height_px) == (5000, 4000)


def test_what_is_cut_short_is_an_error_and_no_header_is_none() -> None:
    head = sequence(100, 80, 7)
    assert av1.read_streams([b""]) is None
    assert av1.read_streams([key_frame(own_size=True)]) is None
    for cut in range(3, len(head) - 1):
        with pytest.raises(ValueError, match="cut short"):
            av1.read_streams([head[:cut]])
    with pytest.raises(ValueError, match="cut short"):
        av1.read_streams([head + bytes((FRAME << 3 | 2, 1, 0))])
    with pytest.raises(ValueError, match="more than"):
        av1.read_streams([b"\x7a\0" * 60] * 200)


def test_deep_samples_are_told() -> None:
    deep = unit(SEQUENCE, "000 1 1 00000 0111 0111 11111111 11111111 000 000 1 0 0 0 00 0 0")
    assert av1.read_streams([deep]) == av1.Stream(256, 256, 0, 1.5, True, False)
