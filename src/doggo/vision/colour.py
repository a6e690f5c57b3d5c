"""Any Pillow picture as 8-bit sRGB: depth, palette, alpha, CMYK and colour profiles.

Owns what becomes of colours. Knows nothing of files, sizes or orientation.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from functools import lru_cache
from hashlib import sha256
from threading import Lock

import numpy as np
from PIL import Image, ImageCms

_SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_MAX_PROFILE_BYTES = 4 * 2**20  # printers' profiles reach 3 MB
# Cameras, editors and scanners name their sRGB like this; a profile that says so is one.
_SRGB_NAMES = ("srgb", "c2")


def plain_mode(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB, RGBA, CMYK or LAB with 8 bits a channel.

    16-bit grey is scaled, not clipped; a transparent colour becomes an alpha channel.

    Raises:
        ValueError: for pictures with 32-bit or floating-point pixels, which are no photos.
    """
    mode = image.mode
    if mode in _SIXTEEN_BIT:
        grey_HW = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((grey_HW + 128) // 257).astype(np.uint8))
    if mode in {"I", "F"}:
        raise ValueError("32-bit and floating-point pixels are not supported")
    if "transparency" in image.info or mode in {"LA", "La", "PA", "RGBa", "RGBX"}:
        return image.convert("RGBA" if mode != "RGBX" else "RGB")
    if mode in {"L", "RGB", "RGBA", "CMYK", "LAB"}:
        return image
    return image.convert("L" if mode == "1" else "RGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an RGB picture in sRGB, transparent parts on white.

    White, because cut-out dogs are drawn for white pages. A profile that is broken or is for
    another kind of picture is ignored, as viewers do.

    Args:
        image: as `plain_mode` returns it.
        profile: the embedded ICC profile.
    """
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    transform = _transform_of(profile, colours.mode)
    if transform is not None:
        colours = transform.apply(colours)
    rgb = colours if colours.mode == "RGB" else colours.convert("RGB")
    if alpha is None:
        return rgb
    page = Image.new("RGB", rgb.size, (255, 255, 255))
    page.paste(rgb, mask=alpha)
    return page


def needs_transform(profile: bytes | None, mode: str) -> bool:
    """Whether `to_srgb` would change the colours of an opaque picture of this mode."""
    return mode != "RGB" or _transform_of(profile, mode) is not None


def _transform_of(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if mode == "LAB":
        return _lab_to_srgb()
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    return _TRANSFORMS.to_srgb(profile, mode)


@lru_cache(maxsize=1)
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(lab), ImageCms.ImageCmsProfile(srgb), "LAB", "RGB"
    )


class _Transforms:
    """Transforms kept by a digest of their profile: building one takes longer than applying it.

    The profiles themselves, of up to 4 MiB each, are not kept. A transform
    takes at most half a MiB, whatever its profile (November 2026).
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = (
            OrderedDict()
        )

    def to_srgb(self, profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
        key = (sha256(profile).digest(), mode)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        transform = _profile_to_srgb(profile, mode)
        with self._lock:
            self._kept[key] = transform
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return transform


_TRANSFORMS = _Transforms(most=32)


def _profile_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform, or return None if the profile says sRGB, is broken or does not fit."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _PROFILE_MODES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        name = (source.profile.profile_description or "").strip().lower()
        if mode == "RGB" and name.startswith(_SRGB_NAMES):
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(
            source, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
