"""Drawn pictures, where there are no photos: they exercise the machinery, they are not dogs.

Owns the drawing: eight made-up breeds, each a texture, a shape and a palette, varied by the
number of the picture so that no two are near duplicates. The same number gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

U8 = NDArray[np.uint8]

BREEDS = (
    "drawn_stripes",
    "drawn_rings",
    "drawn_checks",
    "drawn_waves",
    "drawn_dots",
    "drawn_triangles",
    "drawn_blocks",
    "drawn_fans",
)


def drawn_picture(breed: str, number: int, *, side_px: int = 288) -> U8:
    """Return one picture [H, W, 3] of a drawn breed, width and height a little apart.

    Args:
        breed: one of `BREEDS`; any other name gets one of their textures.
        number: which picture of it; another number gives clearly another picture.
    """
    rng = np.random.default_rng([crc32(breed.encode()), number])
    width_px = side_px + int(rng.integers(0, side_px // 3))
    texture_HW = _texture(breed, rng, side_px, width_px)
    dark, light = _palette(breed, rng)
    image_HWC = dark + texture_HW[..., None] * (light - dark)
    # A large soft light of its own makes each picture's coarse structure, which is what a
    # perceptual hash sees, its own.
    image_HWC *= _light(rng, side_px, width_px)[..., None]
    image_HWC += rng.normal(0, 6, image_HWC.shape)
    image = Image.fromarray(np.clip(image_HWC, 0, 255).astype(np.uint8))
    _shapes(ImageDraw.Draw(image), rng, image.size)
    return np.asarray(image)


def drawn_jpeg(breed: str, number: int, *, side_px: int = 288) -> bytes:
    """Return the same picture as the bytes of a JPEG file."""
    out = io.BytesIO()
    Image.fromarray(drawn_picture(breed, number, side_px=side_px)).save(out, "JPEG", quality=90)
    return out.getvalue()


def write_drawn(folder: Path, *, breeds: int = 8, pictures: int = 12) -> Iterator[Path]:
    """Write `folder/BREED/NUMBER.jpg` for the first `breeds`; yields each file as it is made."""
    for breed in BREEDS[:breeds]:
        (folder / breed).mkdir(parents=True, exist_ok=True)
        for number in range(pictures):
            file = folder / breed / f"{number:03}.jpg"
            file.write_bytes(drawn_jpeg(breed, number))
            yield file


def _texture(
    breed: str, rng: np.random.Generator, height_px: int, width_px: int
) -> NDArray[np.float64]:
    """Return the breed's texture in [0, 1], at an angle, scale and place of this picture."""
    angle = rng.uniform(-0.4, 0.4)
    scale = rng.uniform(14, 30)
    y, x = np.mgrid[0:height_px, 0:width_px]
    y, x = y - rng.uniform(0.3, 0.7) * height_px, x - rng.uniform(0.3, 0.7) * width_px
    u = (x * np.cos(angle) + y * np.sin(angle)) / scale
    v = (y * np.cos(angle) - x * np.sin(angle)) / scale
    match _kind(breed):
        case 0:
            wave = np.sin(2 * u)
        case 1:
            wave = np.sin(2 * np.hypot(u, v))
        case 2:
            wave = np.sign(np.sin(u) * np.sin(v))
        case 3:
            wave = np.sin(2 * v + 2 * np.sin(u))
        case 4:
            wave = np.where(np.hypot(np.mod(u, 2) - 1, np.mod(v, 2) - 1) < 0.6, 1.0, -1.0)
        case 5:
            wave = np.sign(np.mod(u, 2) - np.mod(v, 2))
        case 6:
            wave = np.sin(3 * np.floor(u) + 5 * np.floor(v))
        case _:
            wave = np.sin(9 * np.arctan2(v, u))
    return np.asarray((wave + 1) / 2, dtype=np.float64)


def _palette(
    breed: str, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own = np.random.default_rng(crc32(breed.encode()))
    base = own.uniform(0, 255, (2, 3))
    base[0] *= 0.5
    base[1] = 128 + base[1] / 2
    dark, light = base + rng.normal(0, 12, (2, 3))
    return dark, light


def _light(rng: np.random.Generator, height_px: int, width_px: int) -> NDArray[np.float64]:
    coarse = Image.fromarray(rng.uniform(0.35, 1.25, (5, 5)).astype(np.float32))
    return np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BICUBIC), np.float64)


def _shapes(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    for _ in range(4):
        x, y = rng.uniform(0, 1, 2) * size
        half = rng.uniform(0.06, 0.16) * min(size)
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        box = (float(x - half), float(y - half), float(x + half), float(y + half))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=colour)


def _kind(breed: str) -> int:
    return BREEDS.index(breed) if breed in BREEDS else crc32(breed.encode()) % len(BREEDS)
