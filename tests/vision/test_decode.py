"""Decoding in parts gives what decoding at once gives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.pictures import encode, picture

from doggo.vision import decode
from doggo.vision.colour import plain_mode, to_srgb
from doggo.vision.photo import canonical


@pytest.mark.parametrize("size", [(700, 910), (910, 700), (300, 900), (900, 300)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "I;16"])
def test_parts_give_the_same_pixels_as_the_whole(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = picture(*size).convert("L" if mode == "I;16" else mode.replace("A", "") or "L")
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 251)
    elif mode.endswith("A"):
        stored.putalpha(picture(*size, seed=2).convert("L"))
    file = encode(
        stored, "PNG", **({"transparency": bytes(range(0, 256, 4))} if mode == "P" else {})
    )
    target = decode.target_size(*size, 256)
    with Image.open(io.BytesIO(file)) as image:
        whole = plain_mode(image).resize(target, Image.Resampling.BICUBIC)
    expected_HWC = np.asarray(to_srgb(whole, None))
    for pixels in (2_000_000, 50_000, size[0] * 7):
        monkeypatch.setattr(decode, "_BAND_PIXELS", pixels)
        assert np.array_equal(canonical(file), expected_HWC)
