"""The view: which square of a canonical photo a network sees.

The one place that resizes and crops for a network; training, evaluation and serving call it
with the same canonical pixels, so they feed the same tensor. Normalisation is no part of it:
that is inside the network's graph. Knows nothing of files, bytes or networks.

Legend: H height, W width, C colour channels (R, G, B).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doggo.core.errors import UsageError

U8 = NDArray[np.uint8]
Mode = Literal["crop", "squash"]
Interpolation = Literal["bicubic", "bilinear"]

_OPTIONAL = "interpolation"
_FILTERS: Mapping[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How canonical pixels become the square that a network takes.

    Attributes:
        size_px: side of the square.
        resize_px: short side before the centre crop (`mode="crop"`).
        short_side_px: S of the canonical pixels that this view is cut from.
        mode: "crop" keeps the proportions and loses the edges; "squash" keeps the edges and
            loses the proportions.
        interpolation: filter of what is resampled, as in the network's own training.

    Raises:
        UsageError: the view needs more pixels than a canonical photo has, or its numbers do
            not fit together.
    """

    size_px: int
    resize_px: int
    short_side_px: int = 256
    mode: Mode = "crop"
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        if self.mode not in ("crop", "squash"):
            raise UsageError(f"view mode {self.mode!r} is unknown: use 'crop' or 'squash'")
        if self.interpolation not in _FILTERS:
            raise UsageError(
                f"interpolation {self.interpolation!r} is unknown: use {' or '.join(_FILTERS)}"
            )
        if not 1 <= self.size_px <= self.resize_px:
            raise UsageError(
                f"a view of {self.size_px} px cannot be cut from photos resized to "
                f"{self.resize_px} px: choose a size from 1 to {self.resize_px}"
            )
        if self.resize_px > self.short_side_px:
            raise UsageError(
                f"this network needs photos with a short side of {self.resize_px} px, the "
                f"dataset has {self.short_side_px} px: run "
                f"`doggo preprocess --short-side {self.resize_px}` first"
            )

    def crop(self, image_HWC: U8) -> U8:
        """Return what the network sees of a canonical photo: uint8 [size_px, size_px, 3].

        A photo whose short side already is `resize_px` is cut and not resampled. Else the
        square is resampled straight from the pixels it covers (antialiased), so that the cost
        does not depend on the photo's length. The result is a contiguous copy.
        """
        height_px, width_px = image_HWC.shape[:2]
        short_px = min(height_px, width_px)
        if self.mode == "squash":
            box = (0.0, 0.0, float(width_px), float(height_px))
            return self._resample(image_HWC, box)
        if short_px == self.resize_px:
            top, left = (height_px - self.size_px) // 2, (width_px - self.size_px) // 2
            square_HWC = image_HWC[top : top + self.size_px, left : left + self.size_px]
            return np.array(square_HWC, order="C")  # a copy: shards are memory-mapped
        side_px = self.size_px * short_px / self.resize_px
        left_px, top_px = (width_px - side_px) / 2, (height_px - side_px) / 2
        return self._resample(image_HWC, (left_px, top_px, left_px + side_px, top_px + side_px))

    def _resample(self, image_HWC: U8, box: tuple[float, float, float, float]) -> U8:
        if image_HWC.shape[:2] == (self.size_px, self.size_px) and box[0] == box[1] == 0:
            return np.array(image_HWC, order="C")
        picture = Image.fromarray(image_HWC)
        size = (self.size_px, self.size_px)
        return np.array(picture.resize(size, _FILTERS[self.interpolation], box=box))

    def key(self) -> str:
        """Return a short name for cache keys: equal views, equal keys."""
        other = "" if self.interpolation == "bicubic" else f"-{self.interpolation}"
        return f"{self.mode}-{self.size_px}-{self.resize_px}-{self.short_side_px}{other}"

    def to_json(self) -> dict[str, int | str]:
        """Return the view as plain JSON values; the usual interpolation is not written.

        So bundles sealed before there was another one keep their bytes, and can be read.
        """
        values: dict[str, int | str] = asdict(self)
        if self.interpolation == "bicubic":
            del values[_OPTIONAL]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> View:
        """Return the view of `to_json`.

        Raises:
            UsageError: a field is missing, unknown or of the wrong kind.
        """
        names = {field.name for field in fields(cls)}
        wrong = set(values) ^ names
        if wrong - ({_OPTIONAL} - set(values)):
            said = ", ".join(sorted(wrong))
            raise UsageError(f"this is not a view: missing or unknown field {said}")
        numbers: dict[str, int] = {}
        for name in sorted(names - {"mode", _OPTIONAL}):
            value = values[name]
            if isinstance(value, bool) or not isinstance(value, int):
                raise UsageError(
                    f"this is not a view: {name} must be a whole number, not {value!r}"
                )
            numbers[name] = value
        return cls(  # both words are checked when it is made
            mode=cast("Mode", values["mode"]),
            interpolation=cast("Interpolation", values.get(_OPTIONAL, "bicubic")),
            **numbers,
        )
