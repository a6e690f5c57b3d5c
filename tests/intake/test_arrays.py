"""Photos kept as NumPy files come back as pictures, pixel by pixel; other arrays are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.pictures import picture

from doggo.core.errors import PhotoError
from doggo.intake.arrays import is_array, png_of
from doggo.vision.photo import canonical


def npy(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


IMAGE_HWC = np.asarray(picture(90, 70))


def test_a_photo_keeps_every_pixel() -> None:
    data = npy(IMAGE_HWC)
    assert is_array(data)
    assert np.array_equal(canonical(png_of(data)), IMAGE_HWC)
    assert np.array_equal(canonical(png_of(npy(np.asfortranarray(IMAGE_HWC)))), IMAGE_HWC)


@pytest.mark.parametrize("channels", [None, 1, 4])
def test_grey_and_transparent_photos_are_photos(channels: int | None) -> None:
    array = IMAGE_HWC[..., 0] if channels is None else IMAGE_HWC[..., [0, 1, 2, 0][:channels]]
    with Image.open(io.BytesIO(png_of(npy(array)))) as image:
        assert np.array_equal(np.asarray(image), array.squeeze())
    assert canonical(png_of(npy(array))).shape == (70, 90, 3)


@pytest.mark.parametrize(
    ("array", "reason", "word"),
    [
        (IMAGE_HWC.astype(np.float32) / 255, "not_a_picture", "float32"),
        (IMAGE_HWC.astype(np.int64), "not_a_picture", "int64"),
        (IMAGE_HWC[..., :2], "not_a_picture", "70 x 90 x 2"),
        (IMAGE_HWC[None], "not_a_picture", "1 x 70 x 90 x 3"),
        (IMAGE_HWC[:0], "empty", "no pixels"),
        (np.zeros((1, 20_001), np.uint8), "too_many_pixels", "20001 x 1"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, reason: str, word: str) -> None:
    with pytest.raises(PhotoError, match=word) as refused:
        png_of(npy(array))
    assert refused.value.rejection == reason


class Trap:
    """Says so if it is ever unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("it was unpickled",))


def test_objects_are_refused_without_unpickling_them() -> None:
    data = npy(np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(PhotoError, match="Python objects"):
        png_of(data)


def test_an_array_with_more_or_fewer_bytes_than_it_says_is_refused() -> None:
    data = npy(IMAGE_HWC)
    for cut in (data[:-1], data + b"x", data[:20], data[:6]):
        with pytest.raises(PhotoError):
            png_of(cut)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_photo_or_refused(tail: bytes) -> None:
    for data in (b"\x93NUMPY" + tail, b"\x93NUMPY\x01\x00" + tail):
        with pytest.raises(PhotoError):
            png_of(data)
