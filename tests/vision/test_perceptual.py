import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from tests.pictures import picture

from doggo.vision import perceptual
from doggo.vision.photo import canonical

_HASHES = st.integers(0, 2**64 - 1)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def variants(image: Image.Image) -> dict[str, np.ndarray]:
    half = (image.width // 2, image.height // 2)
    changed = {
        "quality 40": jpeg(image, 40),
        "quality 95": jpeg(image, 95),
        "half the size": jpeg(image.resize(half, Image.Resampling.LANCZOS)),
        "darker": jpeg(ImageEnhance.Brightness(image).enhance(0.85)),
        "brighter": jpeg(ImageEnhance.Brightness(image).enhance(1.1)),
        "grey": jpeg(image.convert("L")),
    }
    return {name: canonical(data) for name, data in changed.items()}


def frequencies(image_HWC: np.ndarray) -> np.ndarray:
    """The 64 lowest, less their median, written out term by term (Zauner 2010)."""
    grey_HW = image_HWC.astype(float) @ (0.299, 0.587, 0.114)
    small = area_mean(area_mean(grey_HW).T).T
    low = np.zeros((8, 8))
    for u in range(8):
        for v in range(8):
            rows = np.cos(np.pi * u * (2 * np.arange(32) + 1) / 64)
            columns = np.cos(np.pi * v * (2 * np.arange(32) + 1) / 64)
            low[u, v] = (small * rows[:, None] * columns[None, :]).sum()
    return low.ravel() - np.median(low)


def area_mean(rows_HW: np.ndarray) -> np.ndarray:
    """32 rows, each the mean over its share of the height."""
    fine_HW = np.repeat(rows_HW, 32, axis=0)
    return fine_HW.reshape(32, len(rows_HW), -1).mean(axis=1)


@pytest.mark.parametrize(("width_px", "height_px"), [(341, 256), (256, 301), (40, 90)])
def test_phash_is_the_published_definition(width_px: int, height_px: int) -> None:
    for seed in range(5):
        image_HWC = np.asarray(picture(width_px, height_px, seed))
        found = perceptual.phash(image_HWC)
        assert len(found) == 16
        for bit, value in zip(f"{int(found, 16):064b}", frequencies(image_HWC), strict=True):
            # A frequency within a thousandth of a grey level of the median may fall either way.
            assert abs(value) < 1.5 or (bit == "1") == (value > 0)


def test_variants_of_a_real_photo_are_near_and_the_same(foolbox_photos: list[Path]) -> None:
    for path in foolbox_photos[::4]:
        original = canonical(path.read_bytes())
        for name, variant in variants(Image.fromarray(original)).items():
            distance = perceptual.hamming(perceptual.phash(original), perceptual.phash(variant))
            assert distance <= 4, (path.name, name)
            assert perceptual.same_picture(original, variant), (path.name, name)
            assert perceptual.same_picture(variant, original), (path.name, name)


def test_different_real_photos_are_not_the_same(foolbox_photos: list[Path]) -> None:
    images = [canonical(path.read_bytes()) for path in foolbox_photos]
    for a_HWC, b_HWC in combinations(images, 2):
        assert not perceptual.same_picture(a_HWC, b_HWC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dhole/1a646db2bcd4bc5d0ddf52d24ef99e12", "dhole/7f1565acc56c48145f96b09aa2779830"),
        ("kuvasz/0c24a6dac8f0dc55edeb80a7b683af5e", "kuvasz/a66612b2661939992858740f88452cd8"),
        ("briard/c86f8b08a4dcdb08f1f27a7b288d5af4", "briard/d2cd0fbf8d10eee50d53e8147000015d"),
    ],
)
def test_photos_of_one_scene_are_not_the_same(shared_photos: Path, one: str, other: str) -> None:
    a_HWC, b_HWC = (canonical((shared_photos / f"{n}.jpg").read_bytes()) for n in (one, other))
    assert perceptual.hamming(perceptual.phash(a_HWC), perceptual.phash(b_HWC)) <= 8
    assert not perceptual.same_picture(a_HWC, b_HWC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (  # another crop
            "english_foxhound/079a7ad36b46704c28d88c4aa183c28e",
            "walker_hound/f6eed8d840086c27a17d7bc4f276dd56",
        ),
        (  # other light
            "otterhound/5e8badb21ba551d4952a53c3960820b4",
            "otterhound/a061fd7e669c4382b56c3290abaf8a38",
        ),
        (  # sepia
            "leonberg/19ac75060dec82ee4c5a72b003e977f2",
            "leonberg/fc879f14ec130d86a2479e8d869908cd",
        ),
    ],
)
def test_real_near_duplicates_are_the_same(shared_photos: Path, one: str, other: str) -> None:
    a_HWC, b_HWC = (canonical((shared_photos / f"{n}.jpg").read_bytes()) for n in (one, other))
    assert perceptual.hamming(perceptual.phash(a_HWC), perceptual.phash(b_HWC)) <= 4
    assert perceptual.same_picture(a_HWC, b_HWC)


def test_plain_colours_are_one_picture_and_no_photo() -> None:
    red, blue = (np.full((80, 90, 3), colour, np.uint8) for colour in ((200, 9, 9), (9, 9, 200)))
    assert perceptual.same_picture(red, red)
    assert perceptual.same_picture(red, blue)
    assert not perceptual.same_picture(red, np.asarray(picture()))


@given(_HASHES)
def test_bands_hold_all_bits(number: int) -> None:
    parts = perceptual.bands(f"{number:016x}")
    joined = "".join(
        f"{part:0{width}b}" for part, width in zip(parts, (13, 13, 13, 13, 12), strict=True)
    )
    assert int(joined, 2) == number


@given(_HASHES, st.sets(st.integers(0, 63), max_size=4))
def test_hashes_within_four_bits_share_a_band(number: int, flipped: set[int]) -> None:
    other = number
    for bit in flipped:
        other ^= 1 << bit
    a, b = f"{number:016x}", f"{other:016x}"
    assert perceptual.hamming(a, b) == len(flipped)
    assert any(x == y for x, y in zip(perceptual.bands(a), perceptual.bands(b), strict=True))
