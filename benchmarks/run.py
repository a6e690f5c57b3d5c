"""The whole way in one process, beside what the network alone takes for the same photos.

7,200 photos from folder to production, evaluation and report included: at most 60 s. Then 100
more, mirrored ones: at most 30 s, of which intake, preprocess and embedding at most 3 s. The floor
is the bare runtime answering each photo once, which a run has to do whatever else it does; for 100
more also the import of the libraries that training takes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from _dataset import SKIPPED, photos_folder
from doggo.vision.pairs import usable_pairs
from doggo.vision.runtime import open_session

BAR_S, MORE_BAR_S, MORE_STAGES_BAR_S = 60.0, 30.0, 3.0
MORE = 100


def main() -> int:
    photos = photos_folder()
    if photos is None:
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        more = _mirrored(photos, work / "more")
        whole = _run(work, photos)
        bare_ms = _bare_ms(work)
        grown = _run(work, more)
        import_s = _import_s()
    stages_s = sum(grown["timings_s"][stage] for stage in ("intake", "preprocess", "embed"))
    print(f"bare runtime: {bare_ms:.2f} ms a photo, the fastest pair here")
    for name, said in (("first run", whole), ("100 more", grown)):
        stages = ", ".join(f"{stage} {s:.1f}" for stage, s in said["timings_s"].items())
        print(f"{name}: {said['seconds']:.1f} s, {said['photos']} photos ({stages})")
    added = grown["photos"] - whole["photos"]
    floor_s, more_floor_s = (n * bare_ms / 1000 for n in (whole["photos"], added))
    print(f"floor of the first run: {floor_s:.1f} s of network alone")
    print(f"floor of {added} more: {import_s + more_floor_s:.1f} s of imports and network alone")
    print(f"100 more: intake + preprocess + embedding {stages_s:.1f} s")
    held = (
        whole["seconds"] <= BAR_S
        and grown["seconds"] <= MORE_BAR_S
        and stages_s <= MORE_STAGES_BAR_S
    )
    print(f"bars {BAR_S:.0f}, {MORE_BAR_S:.0f} and {MORE_STAGES_BAR_S:.0f} s: {_word(held)}")
    return 0 if held else 1


def _word(held: bool) -> str:
    return "held" if held else "NOT held"


def _mirrored(photos: Path, folder: Path) -> Path:
    """Make 100 photos that are new, spread over the breeds: others, mirrored."""
    every = sorted(photos.glob("*/*"))
    for photo in every[:: max(1, len(every) // MORE)][:MORE]:
        target = folder / photo.parent.name / f"mirrored-{photo.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as image:
            ImageOps.mirror(image.convert("RGB")).save(target, quality=92)
    return folder


def _run(work: Path, folder: Path) -> dict:
    started_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "doggo", "run", str(folder), "--json"],
        env={**os.environ, "DOGGO_HOME": str(work / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return {**json.loads(done.stdout), "seconds": time.perf_counter() - started_s}


def _import_s() -> float:
    """Return how long bare imports of what training uses take, from a warm disk cache."""
    libraries = "torch, timm, lightning.pytorch, mlflow, matplotlib.figure, onnx, openvino"
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {libraries}"], check=True, capture_output=True)
    return time.perf_counter() - started_s


def _bare_ms(work: Path) -> float:
    """Return the median milliseconds a photo of the fastest pair, pictures ready in memory."""
    graph = next((work / "home").rglob("*.onnx"))
    graph = shutil.copy(graph, work / "bare.onnx")
    images_NHWC = np.random.default_rng(0).integers(0, 255, (128, 224, 224, 3), np.uint8)
    figures = []
    for pair in usable_pairs():
        session = open_session(Path(graph), pair)
        session.run(images_NHWC[:16])
        times = []
        for _ in range(5):
            started_s = time.perf_counter()
            session.run(images_NHWC)
            times.append((time.perf_counter() - started_s) / len(images_NHWC) * 1000)
        figures.append(statistics.median(times))
    return min(figures)


if __name__ == "__main__":
    sys.exit(main())
