"""What a training photo may go through: crops, colours, turns and blur, as in 2023's doggo.

A pure function of pixels and a random generator. Everything is uint8 in and uint8 out; a result
beyond 0..255 is cut off there, never wrapped around. What serves sees none of this: it has the
view alone.

Legend: H height, W width, C colour channels, S side in pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

U8 = NDArray[np.uint8]
Rng = np.random.Generator

MARGIN = 7  # the short side is a seventh longer than the square that is cut from it
CONTRAST = (0.5, 2.0)
BRIGHTNESS = (0.33, 3.0)
PERSPECTIVE = 0.7  # of half a side, by which a corner is moved inwards at most
BLUR_KERNELS_PX = (7, 9, 11)
BLUR_SIGMA_PX = (0.1, 2.0)


def augment(image_HWC: U8, size_px: int, probability: float, rng: Rng) -> U8:
    """Return a random square of a canonical photo, transformed: uint8 [S, S, 3].

    The crop is always random; contrast, grey, perspective, rotation, both flips, brightness and
    blur each happen with `probability`, in that order.
    """
    image_CHW = torch.from_numpy(np.ascontiguousarray(_random_crop(image_HWC, size_px, rng)))
    image_CHW = image_CHW.permute(2, 0, 1)
    if image_CHW.shape[1] != size_px:
        image_CHW = transforms.resize(image_CHW, [size_px, size_px], InterpolationMode.BILINEAR)
    # All are drawn whatever happens, so that one more transformation moves no other.
    happens = rng.random(8) < probability
    contrast, brightness = _log_uniform(CONTRAST, rng), _log_uniform(BRIGHTNESS, rng)
    corners = _corners(size_px, rng)
    degrees = rng.uniform(0, 360)
    kernel_px, sigma_px = int(rng.choice(BLUR_KERNELS_PX)), rng.uniform(*BLUR_SIGMA_PX)
    steps = (
        lambda x: transforms.adjust_contrast(x, contrast),
        lambda x: transforms.rgb_to_grayscale(x, num_output_channels=3),
        lambda x: transforms.perspective(x, *corners, interpolation=InterpolationMode.BILINEAR),
        lambda x: transforms.rotate(x, degrees, InterpolationMode.BILINEAR),
        transforms.vertical_flip,
        transforms.horizontal_flip,
        lambda x: transforms.adjust_brightness(x, brightness),
        lambda x: transforms.gaussian_blur(x, [kernel_px, kernel_px], [sigma_px, sigma_px]),
    )
    for step, wanted in zip(steps, happens, strict=True):
        if wanted:
            image_CHW = step(image_CHW)
    return as_array(image_CHW)


def as_array(image_CHW: Tensor) -> U8:
    """Return a picture as a contiguous array [H, W, C]."""
    return np.ascontiguousarray(image_CHW.permute(1, 2, 0).numpy())


def _random_crop(image_HWC: U8, size_px: int, rng: Rng) -> U8:
    """Return the square that `size_px` of a short side of `size_px * 8 / 7` is, at any place.

    Cut before it is resized: the same pixels for less work.
    """
    height_px, width_px = image_HWC.shape[:2]
    side_px = round(min(height_px, width_px) * MARGIN / (MARGIN + 1))
    side_px = max(side_px, 1)
    if abs(side_px - size_px) <= 1 and size_px <= min(height_px, width_px):
        side_px = size_px  # the usual case: 224 of 256, where nothing needs resizing
    top = int(rng.integers(0, height_px - side_px + 1))
    left = int(rng.integers(0, width_px - side_px + 1))
    return image_HWC[top : top + side_px, left : left + side_px]


def _log_uniform(between: tuple[float, float], rng: Rng) -> float:
    """Return a factor; twice as much is as likely as half as much."""
    low, high = between
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _corners(size_px: int, rng: Rng) -> tuple[list[list[int]], list[list[int]]]:
    """Return the square's corners, and where a perspective moves them (x, y)."""
    last = size_px - 1
    start = [[0, 0], [last, 0], [last, last], [0, last]]
    moved_px = rng.integers(0, max(1, int(PERSPECTIVE * size_px / 2)), (4, 2))
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    return start, (np.array(start) + inwards * moved_px).tolist()
