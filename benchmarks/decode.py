"""Bytes to canonical pixels: how close to the bare decoder, and what the largest files take.

Beside `canonical` stand, in the same run, the bare JPEG decoder (simplejpeg, full size: the floor
for small photos) and Pillow as its tutorial has it (open, resize, array). Small photos are the
shared ones, or drawn ones where those are not here. The large files of each format are what the
limits just let pass; each is decoded in processes of its own, for its peak memory. GIF and TIFF are
also prepared as intake does it, which stores them as PNG.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import simplejpeg
from PIL import Image

from doggo.vision.photo import canonical

SHARED = Path(__file__).resolve().parents[2] / "shared" / "photos"
SMALL_PHOTOS = 400
ROUNDS = 5
# Canonical does more than either: limits, metadata, orientation, colour profile.
LEAST_OF_BARE = 0.65
LEAST_OF_PILLOW_LARGE = 2.0
MOST_MIB = 150
MOST_S = 1.0
CHILDREN = 3
RE_ENCODED = ("GIF", "TIFF")

_CHILD = """
import json, sys, time
from pathlib import Path
from doggo.vision import photo

def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

step = getattr(photo, sys.argv[3])
step(Path(sys.argv[1]).read_bytes())
data = Path(sys.argv[2]).read_bytes()
before, started = peak_mib(), time.perf_counter()
done = step(data)
seconds = time.perf_counter() - started
image_HWC = done.image_HWC if step is photo.prepare else done
print(json.dumps([seconds, peak_mib() - before, image_HWC.shape]))
"""


def pillow_256(data: bytes) -> np.ndarray:
    """Open, bring the short side to 256, array: Pillow without tricks."""
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB")
        scale = min(1.0, 256 / min(rgb.size))
        size = (round(rgb.width * scale), round(rgb.height * scale))
        return np.asarray(rgb if scale == 1 else rgb.resize(size, Image.Resampling.BICUBIC))


def best_ms(work: Callable[[bytes], object], files: list[bytes]) -> float:
    """Return the least mean time a file over `ROUNDS` rounds: what the machine disturbs least."""
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for data in files:
            work(data)
        least = min(least, (time.perf_counter() - started) / len(files) * 1e3)
    return least


def scene(width_px: int, height_px: int, seed: int = 0) -> Image.Image:
    """A drawn picture with edges and some grain."""
    rng = np.random.default_rng(seed)
    coarse_HWC = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse_HWC).resize((width_px, height_px), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((width_px, height_px), 12)
    return Image.blend(smooth, Image.merge("RGB", [grain] * 3), 0.15)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def small_files() -> tuple[str, list[bytes]]:
    paths = sorted(SHARED.glob("*/*.jpg"))
    if paths:
        step = max(1, len(paths) // SMALL_PHOTOS)
        return "shared photos", [path.read_bytes() for path in paths[::step]]
    drawn = [encoded(scene(340, 256, seed), "JPEG", quality=85) for seed in range(100)]
    return "drawn photos", drawn


def large_files() -> dict[str, bytes]:
    phone = scene(4032, 3024)
    grey = Image.new("L", (11_500, 8_600), 90)
    return {
        "JPEG 12 MP": encoded(phone, "JPEG", quality=90),
        "JPEG 12 MP progressive": encoded(phone, "JPEG", quality=90, progressive=True),
        "JPEG 99 MP": encoded(scene(11_500, 8_600), "JPEG", quality=70),
        "PNG 12 MP": encoded(phone.quantize(64).convert("RGB"), "PNG", compress_level=1),
        "PNG 99 MP grey": encoded(grey, "PNG", compress_level=1),
        "WebP 12 MP": encoded(phone, "WEBP", quality=60, method=0),
        "AVIF 12 MP": encoded(phone, "AVIF", quality=60, speed=10),
        "HEIC 3 MP": encoded(scene(2016, 1512), "HEIF", quality=50),
        "GIF 11 MP": encoded(scene(3800, 2850).quantize(255, Image.Quantize.FASTOCTREE), "GIF"),
        "TIFF 12 MP": encoded(scene(4000, 3000), "TIFF", compression="jpeg", quality=60),
    }


def measured(folder: Path, small: bytes, data: bytes, step: str) -> tuple[float, float, list[int]]:
    """Return least seconds, most growth of peak memory in MiB, and shape, from fresh processes."""
    warm, file = folder / "warm", folder / "file"
    warm.write_bytes(small)
    file.write_bytes(data)
    command = [sys.executable, "-c", _CHILD, str(warm), str(file), step]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(CHILDREN)
    ]
    return min(one[0] for one in found), max(one[1] for one in found), found[0][2]


def within_limits(files: dict[str, bytes], small: bytes) -> bool:
    """Print what each large file takes; return whether all keep to memory and time."""
    held = True
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        for label, data in files.items():
            steps = ("canonical", "prepare") if label.startswith(RE_ENCODED) else ("canonical",)
            for step in steps:
                seconds, grown_mib, shape = measured(Path(folder), small, data, step)
                shown = label if step == "canonical" else f"{label}, taken in"
                size = f"{shape[1]} x {shape[0]}"
                print(f"  {shown:<24}{seconds * 1e3:6.0f} ms {grown_mib:6.0f} MiB   -> {size}")
                held &= grown_mib <= MOST_MIB and seconds <= MOST_S
    return held


def main() -> int:
    held = True
    name, small = small_files()
    bare, ours, pillow = (
        best_ms(work, small) for work in (simplejpeg.decode_jpeg, canonical, pillow_256)
    )
    print(f"{name}, {len(small)} of {sum(map(len, small)) / len(small) / 1e3:.0f} kB, one core:")
    print(f"  canonical        {1e3 / ours:7.0f} photos/s")
    print(f"  bare simplejpeg  {1e3 / bare:7.0f} photos/s; canonical reaches {bare / ours:.0%}")
    print(f"  Pillow           {1e3 / pillow:7.0f} photos/s; canonical is {pillow / ours:.1f} x")
    held &= bare / ours >= LEAST_OF_BARE

    files = large_files()
    phone = [files["JPEG 12 MP"]]
    ours, pillow = best_ms(canonical, phone), best_ms(pillow_256, phone)
    bare = best_ms(simplejpeg.decode_jpeg, phone)
    print(
        f"12 MP JPEG of {len(phone[0]) / 1e6:.1f} MB: canonical {ours:.0f} ms, bare simplejpeg at"
    )
    print(f"  full size {bare:.0f} ms, Pillow {pillow:.0f} ms: {pillow / ours:.1f} x")
    held &= pillow / ours >= LEAST_OF_PILLOW_LARGE

    held &= within_limits(files, small[0])
    print(
        f"bar: {LEAST_OF_BARE:.0%} of the bare decoder, {LEAST_OF_PILLOW_LARGE} x Pillow at 12 MP, "
        f"{MOST_MIB} MiB and {MOST_S:.0f} s a file: {'holds' if held else 'BELOW'}"
    )
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
