import struct

import pytest
from tests.pictures import XMP, encode, picture

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import gif, photo

COMMENT = b"!\xfe"
LOOP = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
# Raw text: whatever its letters are as lengths, the trailer leads to the end (Adobe XMP, part 3).
XMP_BLOCK = b"!\xff\x0bXMP DataXMP" + XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
CONTROL = b"!\xf9\x04\x04\0\0\0\0"
TEXT = b"!\x01\x0c" + bytes(12) + b"\x05Hello\0"


def parts(contents: bytes, size: int = 255) -> bytes:
    """Contents as the parts of an extension, with the empty one that ends it."""
    cut = [contents[at : at + size] for at in range(0, len(contents), size)]
    return b"".join(bytes([len(part)]) + part for part in cut) + b"\0"


def gif_with(*blocks: bytes, frame_px: tuple[int, int] = (64, 48)) -> bytes:
    """A GIF whose screen has 64 x 48 px, with blocks before its first frame."""
    drawn = encode(picture(*frame_px).quantize(16), "GIF")
    start = 13 + (3 << (drawn[10] & 7) + 1)
    head = drawn[:6] + struct.pack("<HH", 64, 48) + drawn[10:start]
    return head + b"".join(blocks) + drawn[start:]


def refused(data: bytes) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        photo.canonical(data)
    return caught.value


@pytest.mark.parametrize("length", [1, 33, 43, 44, 45, 58, 59, 60, 255, 288, 299, 314, 40_000])
def test_a_comment_of_any_length_is_stepped_over(length: int) -> None:
    data = gif_with(COMMENT + parts(b"," * length))
    assert photo.canonical(data).shape == (48, 64, 3)
    assert photo.canonical(encode(picture(64, 48), "GIF", comment=b"!" * length)).shape[0] == 48


@pytest.mark.parametrize(
    "blocks",
    [
        (LOOP, CONTROL),
        (XMP_BLOCK,),
        (TEXT, CONTROL),
        (b"!\xff\x0bICCRGBG1012" + parts(b";" * 3000), LOOP),
        (COMMENT + b"\0", COMMENT + parts(b"b", 1)),
        (b"\0\0", CONTROL, b"\0"),
    ],
    ids=["loop", "xmp", "text", "profile", "empty comments", "filling between blocks"],
)
def test_what_stands_before_the_frame_does_no_harm(blocks: tuple[bytes, ...]) -> None:
    header = photo.read_header(gif_with(*blocks))
    assert (header.width_px, header.height_px) == (64, 48)
    assert photo.canonical(gif_with(*blocks)).shape == (48, 64, 3)


def test_a_film_with_tables_of_its_own_is_read() -> None:
    frames = [picture(80, 60, seed).quantize(32) for seed in range(2, 9)]
    film = encode(picture(80, 60), "GIF", save_all=True, append_images=frames, loop=0)
    assert photo.canonical(film).shape == (60, 80, 3)


def test_a_frame_beyond_the_screen_makes_the_picture_larger() -> None:
    assert gif.read_size(gif_with(frame_px=(90, 30))) == (90, 48)
    assert photo.canonical(gif_with(frame_px=(90, 30))).shape == (48, 90, 3)


def test_a_size_within_a_comment_is_not_the_pictures() -> None:
    lie = b"," + struct.pack("<HHHH", 0, 0, 64, 48)
    hidden = gif_with(COMMENT + parts(b"x", 1)[:-1] + parts(lie.ljust(44)), frame_px=(9000, 3000))
    assert gif.read_size(hidden) == (9000, 3000)
    assert refused(hidden).rejection is Rejection.TOO_SLOW


def test_an_empty_extension_is_refused() -> None:
    # Pillow takes what follows it for its contents, and then finds another first frame.
    assert refused(gif_with(b"!\x01\0")).rejection is Rejection.BROKEN
    assert refused(gif_with(b"!\xff\x0bNETSCAPE2.0\0")).rejection is Rejection.BROKEN


def test_a_comment_in_absurdly_many_parts_is_refused() -> None:
    assert photo.canonical(gif_with(COMMENT + parts(bytes(40_000), 1))).shape == (48, 64, 3)
    assert refused(gif_with(COMMENT + parts(bytes(60_000), 1))).rejection is Rejection.TOO_SLOW


def test_a_gif_without_a_frame_is_refused() -> None:
    data = gif_with(CONTROL)
    frame = data.index(CONTROL) + len(CONTROL)
    assert refused(data[:frame] + b";").rejection is Rejection.BROKEN
    for cut in range(6, frame + 9):
        assert refused(data[:cut]).rejection is Rejection.TRUNCATED
