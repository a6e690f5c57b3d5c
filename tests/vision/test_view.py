"""The view: the same canonical pixels give the same square, and its shape never surprises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from doggo.core.errors import UsageError
from doggo.core.records import ManifestRow, Origin, Split
from doggo.storage.buckets import Bucket
from doggo.storage.shards import PixelReader, write_shard
from doggo.vision.photo import canonical
from doggo.vision.view import View

LITE0 = View(size_px=224, resize_px=256)


def noise(height_px: int, width_px: int) -> np.ndarray:
    rng = np.random.default_rng(height_px * 7919 + width_px)
    return rng.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def test_a_canonical_photo_is_cut_and_not_resampled() -> None:
    image = noise(256, 400)
    assert np.array_equal(LITE0.crop(image), image[16:240, 88:312])


def test_the_square_is_a_copy_of_read_only_pixels() -> None:
    image = noise(256, 300)
    image.flags.writeable = False
    square = LITE0.crop(image)
    assert square.flags.c_contiguous
    assert square.flags.writeable
    assert not np.shares_memory(square, image)


@pytest.mark.parametrize("size", [(64, 64), (80, 200), (300, 100), (100, 300)])
def test_resampling_the_square_alone_equals_resampling_the_photo_and_cutting(
    size: tuple[int, int],
) -> None:
    view = View(size_px=128, resize_px=256)
    # Grey enough that bicubic never overshoots the range: Pillow's two passes round and clip in
    # between, and it picks their order by the shape.
    image = (noise(*size) // 4) + 96
    scale = 256 / min(size)
    whole = Image.fromarray(image).resize(
        (round(size[1] * scale), round(size[0] * scale)), Image.Resampling.BICUBIC
    )
    left, top = (whole.width - 128) // 2, (whole.height - 128) // 2
    expected = np.array(whole.crop((left, top, left + 128, top + 128)))
    difference = np.abs(view.crop(image).astype(int) - expected)
    assert difference.max() <= 2


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    mode=st.sampled_from(["crop", "squash"]),
    size=st.integers(1, 64),
    more=st.integers(0, 40),
)
def test_any_photo_gives_a_square_of_the_asked_size(
    height: int, width: int, mode: str, size: int, more: int
) -> None:
    view = View(size_px=size, resize_px=size + more, mode=mode)  # type: ignore[arg-type]
    square = view.crop(np.full((height, width, 3), 77, np.uint8))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert (square == 77).all()


def test_a_very_long_small_photo_costs_no_more_than_its_square() -> None:
    # Resampled as a whole it would be 256 x 80,000 px.
    assert LITE0.crop(noise(64, 20_000)).shape == (224, 224, 3)


def test_squash_keeps_the_edges_that_crop_loses() -> None:
    image = np.zeros((256, 512, 3), np.uint8)
    image[:, -20:] = 255
    assert LITE0.crop(image).max() == 0
    assert View(size_px=224, resize_px=256, mode="squash").crop(image).max() == 255


def test_a_view_that_needs_larger_photos_says_how_to_make_them() -> None:
    with pytest.raises(UsageError, match="doggo preprocess --short-side 292"):
        View(size_px=260, resize_px=292)


@pytest.mark.parametrize(("size_px", "resize_px"), [(0, 10), (20, 10)])
def test_impossible_sizes_are_refused(size_px: int, resize_px: int) -> None:
    with pytest.raises(UsageError, match="choose a size"):
        View(size_px=size_px, resize_px=resize_px)


def test_json_there_and_back_is_the_same_view() -> None:
    view = View(size_px=200, resize_px=250, mode="squash")
    assert View.from_json(view.to_json()) == view


@pytest.mark.parametrize(
    "change",
    [{"size_px": "224"}, {"size_px": True}, {"mode": "stretch"}, {"mode": []}, {"more": 1}],
)
def test_json_that_is_no_view_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        View.from_json({**LITE0.to_json(), **change})


def test_keys_tell_views_apart() -> None:
    views = [
        LITE0,
        View(size_px=225, resize_px=256),
        View(size_px=224, resize_px=255),
        View(size_px=224, resize_px=256, short_side_px=300),
        View(size_px=224, resize_px=256, mode="squash"),
    ]
    assert len({view.key() for view in views}) == len(views)


def through_a_shard(folder: Path, image_HWC: np.ndarray) -> np.ndarray:
    """Return an image as training reads it: from a memory-mapped shard."""
    bucket = Bucket(folder)
    filler = np.zeros((3, 5, 3), np.uint8)
    _, offset = write_shard(bucket.path("one.npy"), [filler, image_HWC])
    height_px, width_px = image_HWC.shape[:2]
    row = ManifestRow(
        photo_id="a",
        raw_uri="",
        breed="pug",
        split=Split.TRAIN,
        sha256="a",
        group_id="a",
        shard="one.npy",
        offset=offset,
        height_px=height_px,
        width_px=width_px,
        origin=Origin.OWNER,
        may_be_shown=True,
    )
    return PixelReader(bucket).image(row)


def assert_same_tensor(folder: Path, data: bytes) -> None:
    served = LITE0.crop(canonical(data, LITE0.short_side_px))
    trained = LITE0.crop(through_a_shard(folder, canonical(data, LITE0.short_side_px)))
    assert np.array_equal(served, trained)


def test_golden_the_same_bytes_give_the_same_tensor_in_training_and_serving(
    foolbox_photos: list[Path], tmp_path: Path
) -> None:
    assert len(foolbox_photos) == 20
    for path in foolbox_photos:
        assert_same_tensor(tmp_path, path.read_bytes())


def test_golden_also_on_the_shared_photos(shared_photos: Path, tmp_path: Path) -> None:
    paths = sorted(shared_photos.glob("*/*.jpg"))[::150]
    assert paths
    for path in paths:
        assert_same_tensor(tmp_path, path.read_bytes())


def test_another_interpolation_is_written_and_makes_another_square() -> None:
    bilinear = View(size_px=96, resize_px=110, interpolation="bilinear")
    bicubic = View(size_px=96, resize_px=110)
    image = noise(256, 300)
    assert not np.array_equal(bilinear.crop(image), bicubic.crop(image))
    assert View.from_json(bilinear.to_json()) == bilinear
    assert bilinear.key() != bicubic.key()
    assert "interpolation" not in bicubic.to_json()
    with pytest.raises(UsageError, match="interpolation 'lanczos' is unknown"):
        View(size_px=96, resize_px=110, interpolation="lanczos")  # type: ignore[arg-type]
