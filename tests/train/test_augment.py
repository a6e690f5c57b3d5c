"""Transformations of training photos: what they promise, and that uint8 never wraps around."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference

from doggo.train.augment import augment
from doggo.train.config import FINETUNE, TrainConfig


def _noise(height_px: int, width_px: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def _smooth() -> np.ndarray:
    y, x = np.mgrid[:256, :300]
    return np.stack([x % 256, y % 256, (x + y) // 3], axis=2).astype(np.uint8)


class _Fixed:
    """A generator whose coin lands on one transformation alone, else as numpy's."""

    def __init__(self, which: int | None, seed: int = 0) -> None:
        self._rng, self._which = np.random.default_rng(seed), which

    def random(self, n: int) -> np.ndarray:
        return np.array([0.0 if place == self._which else 1.0 for place in range(n)])

    def __getattr__(self, name: str) -> object:
        return getattr(self._rng, name)


def _one(which: int | None, seed: int, image: np.ndarray) -> np.ndarray:
    return augment(image, 224, 0.5, _Fixed(which, seed))  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    height_px=st.integers(20, 300), width_px=st.integers(20, 300),
    size_px=st.sampled_from([32, 64, 224]), seed=st.integers(0, 999),
)  # fmt: skip
def test_any_photo_becomes_a_square_of_bytes(
    height_px: int, width_px: int, size_px: int, seed: int
) -> None:
    square = augment(_noise(height_px, width_px), size_px, 0.5, np.random.default_rng(seed))
    assert square.shape == (size_px, size_px, 3)
    assert square.dtype == np.uint8
    assert square.flags.c_contiguous


def test_the_same_generator_gives_the_same_bytes() -> None:
    first, second, other = (
        augment(_smooth(), 224, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_without_any_transformation_it_is_a_random_cut_of_the_photo() -> None:
    image = _noise(256, 300)
    squares = [augment(image, 224, 0.0, np.random.default_rng(seed)) for seed in range(20)]
    windows = np.lib.stride_tricks.sliding_window_view(image[..., 0], (224, 224))
    for square in squares:
        at = np.argwhere(windows[:, :, 0, 0] == square[0, 0, 0])
        assert any(np.array_equal(windows[y, x], square[..., 0]) for y, x in at)
    assert len({square.tobytes() for square in squares}) > 15


@pytest.mark.parametrize("which", [0, 6], ids=["contrast", "brightness"])
def test_colours_are_cut_off_where_a_float_would_leave_the_range(which: int) -> None:
    image = _noise(256, 256)
    for seed in range(12):
        cut, changed = _one(None, seed, image), _one(which, seed, image)
        drawn = _Fixed(None, seed)
        drawn.integers(0, 33), drawn.integers(0, 33)
        factors = [float(np.exp(drawn.uniform(np.log(a), np.log(b))))
                   for a, b in ((0.5, 2.0), (0.33, 3.0))]  # fmt: skip
        exact = torch.from_numpy(cut).permute(2, 0, 1).double() / 255
        adjust = reference.adjust_contrast if which == 0 else reference.adjust_brightness
        wanted = adjust(exact, factors[which != 0]).clamp(0, 1) * 255
        difference = np.abs(changed - wanted.permute(1, 2, 0).numpy())
        # Whole numbers: one step of rounding, and another in the mean that contrast turns on.
        assert difference.max() <= 2, factors


def test_grey_has_three_equal_channels() -> None:
    grey = _one(1, 0, _smooth())
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_flips_are_flips() -> None:
    plain = _one(None, 3, _smooth())
    assert np.array_equal(_one(4, 3, _smooth()), plain[::-1])
    assert np.array_equal(_one(5, 3, _smooth()), plain[:, ::-1])


@pytest.mark.parametrize("which", [2, 3], ids=["perspective", "rotation"])
def test_turns_move_pixels_and_keep_the_range(which: int) -> None:
    for seed in range(4):
        moved = _one(which, seed, _smooth())
        assert not np.array_equal(moved, _one(None, seed, _smooth()))
        assert moved.std() > 1


def test_blur_smooths() -> None:
    blurred = [_one(7, seed, _noise(256, 256)).astype(float).std() for seed in range(6)]
    assert min(blurred) < 0.6 * _noise(256, 256).std()


def test_each_happens_about_as_often_as_asked() -> None:
    image = _noise(256, 256)
    rngs = [np.random.default_rng((seed, 1)) for seed in range(150)]
    same = [np.random.default_rng((seed, 1)) for seed in range(150)]
    changed = sum(
        not np.array_equal(augment(image, 224, 0.025, a), augment(image, 224, 0.0, b))
        for a, b in zip(rngs, same, strict=True)
    )
    expected = 150 * (1 - 0.975**8)  # 27.5
    assert 12 < changed < 45
    assert expected == pytest.approx(27.5, abs=0.1)


def test_the_default_probability_is_the_one_of_2023() -> None:
    assert TrainConfig(recipe=FINETUNE).resolved().trf_prb == 0.025
