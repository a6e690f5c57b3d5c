"""Colours of rarer kinds of files, against values worked out another way."""

from __future__ import annotations

import itertools
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.pictures import encode, ink_profile, matrix_profile, picture

from doggo.vision import colour
from doggo.vision.photo import canonical


def fine_grained() -> NDArray[np.uint16]:
    """A picture with 16 bits a channel that are no 8 bits repeated."""
    coarse_HWC = np.asarray(picture(120, 90)).astype(np.int64) * 257
    grain_HWC = np.random.default_rng(0).integers(-120, 120, coarse_HWC.shape)
    return np.clip(coarse_HWC + grain_HWC, 0, 65_535).astype(np.uint16)


def png_of(pixels_HWC: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG, which Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    height_px, width_px, channels = pixels_HWC.shape
    colour = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width_px, height_px, 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels_HWC)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff_of(pixels_HWC: NDArray[np.uint16]) -> bytes:
    """A 16-bit RGB TIFF of one strip, which Pillow does not write either."""
    height_px, width_px, channels = pixels_HWC.shape
    pixels = pixels_HWC.astype("<u2").tobytes()
    depths_at = 8 + 2 + 12 * 9 + 4
    tags = (
        (256, 1, width_px), (257, 1, height_px), (258, channels, depths_at), (259, 1, 1),
        (262, 1, 2), (273, 1, depths_at + 2 * channels), (277, 1, channels), (278, 1, height_px),
        (279, 1, len(pixels)),
    )  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, 3 if tag == 258 else 4, *rest) for tag, *rest in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head + struct.pack("<H", 16) * channels + pixels


@pytest.mark.parametrize("file_of", [png_of, tiff_of])
def test_sixteen_bit_colour_is_scaled(file_of: Callable[[NDArray[np.uint16]], bytes]) -> None:
    pixels_HWC = fine_grained()
    image_HWC = canonical(file_of(pixels_HWC))
    assert np.abs(image_HWC - pixels_HWC / 257).max() <= 1


def test_sixteen_bit_transparency_is_mixed_with_white() -> None:
    colour_HWC = fine_grained()
    alpha_HW1 = np.linspace(0, 65_535, 120).astype(np.uint16)[None, :, None]
    alpha_HW1 = np.broadcast_to(alpha_HW1, (90, 120, 1))
    image_HWC = canonical(png_of(np.concatenate([colour_HWC, alpha_HW1], axis=2)))
    share_HW1 = alpha_HW1 / 65_535
    expected_HWC = colour_HWC / 257 * share_HW1 + 255 * (1 - share_HW1)
    assert np.abs(image_HWC - expected_HWC).max() <= 2


def test_a_palette_with_several_degrees_of_transparency_is_mixed_with_white() -> None:
    colours_NC = np.array([(10, 20, 30), (200, 100, 50), (0, 250, 90), (255, 0, 0)])
    alphas_N = np.array([0, 80, 200, 255])
    indices_HW = np.random.default_rng(0).integers(0, 4, (80, 90), dtype=np.uint8)
    stored = Image.frombytes("P", (90, 80), indices_HW.tobytes())
    stored.putpalette(colours_NC.ravel().tolist())
    image_HWC = canonical(encode(stored, "PNG", transparency=bytes(alphas_N.tolist())))
    share_N1 = alphas_N[:, None] / 255
    expected_NC = colours_NC * share_N1 + 255 * (1 - share_N1)
    assert np.abs(image_HWC - expected_NC[indices_HW]).max() <= 1


def patches() -> tuple[Image.Image, list[tuple[int, ...]]]:
    """All ways to lay the four inks on each other, as patches of 20 px side by side."""
    inks = list(itertools.product((0, 1), repeat=4))
    row_1NC = np.array([inks], np.uint8) * 255
    return Image.fromarray(row_1NC.repeat(20, axis=1).repeat(64, axis=0), "CMYK"), inks


def off(file: bytes, expected: list[tuple[int, ...]]) -> int:
    """How far the middles of the patches are from these colours, in the worst channel."""
    image_HWC = canonical(file)
    return int(np.abs(image_HWC[32, 10::20].astype(int) - expected).max())


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 100, "subsampling": 0}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_inks_have_the_colours_of_their_profile(kind: str, options: dict[str, object]) -> None:
    image, inks = patches()
    plain = [tuple(255 * (1 - ink) * (1 - k) for ink in (c, m, y)) for c, m, y, k in inks]
    assert off(encode(image, kind, **options), plain) <= 4
    # Another press: what is filed as cyan prints yellow, and so on, all a little duller. Paper
    # without ink is white in any press's profile.
    other = [(255, 255, 255)]
    other += [tuple(30 + colour * 190 // 255 for colour in (g, b, r)) for r, g, b in plain[1:]]
    profile = ink_profile(dict(zip(inks, other, strict=True)))
    assert off(encode(image, kind, icc_profile=profile, **options), other) <= 4
    assert off(encode(image, kind, icc_profile=profile, **options), plain) > 100


_MANY_PROFILES = """
import io, sys
from pathlib import Path
import numpy as np
from PIL import Image
from doggo.vision.photo import canonical

def held_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

profile, image = Path(sys.argv[1]).read_bytes(), Image.new("RGB", (64, 64), (9, 90, 200))
for number in range(41):
    buffer = io.BytesIO()
    other = profile + np.random.default_rng(number).bytes(3_900_000)
    image.save(buffer, "JPEG", icc_profile=other)
    canonical(buffer.getvalue())
    if number == 0:
        before = held_mib()
print(held_mib() - before)
"""


def test_profiles_of_other_peoples_photos_are_not_held(tmp_path: Path) -> None:
    file = tmp_path / "profile.icc"
    file.write_bytes(matrix_profile((0.39, 0.72, 0.1), (0.44, 0.22, 0.01), (0.14, 0.06, 0.71)))
    done = subprocess.run(
        [sys.executable, "-c", _MANY_PROFILES, str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert float(done.stdout) < 50


def test_a_transform_is_built_once_for_each_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bytes] = []
    monkeypatch.setattr(
        colour, "_profile_to_srgb", lambda profile, mode: built.append(profile + mode.encode())
    )
    kept = colour._Transforms(most=2)
    for profile in (b"a", b"b", b"a", b"c", b"a", b"b"):  # `b` was used longest ago when `c` came
        assert kept.to_srgb(profile, "RGB") is None
    assert built == [b"aRGB", b"bRGB", b"cRGB", b"bRGB"]
    kept.to_srgb(b"b", "L")
    assert built[-1] == b"bL"
