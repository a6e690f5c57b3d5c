"""Fine-tuning beside the bare network: how much of its speed is left after everything else.

Bare is forward and backward on one batch that lies ready, no optimiser, measured in the same run
just before and just after. Ours reads photos from shards, transforms them, steps, and keeps count.
Validation and checkpoints are not part of either. On a processor the figure says little of a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from _dataset import SKIPPED, make_dataset, photos_folder
from doggo.core.records import Manifest
from doggo.nets.backbones import DEFAULT
from doggo.storage.shards import PixelReader
from doggo.tracking.null import NullTracker
from doggo.train.compute import choose_compute
from doggo.train.config import ALL, LAST, TrainConfig
from doggo.train.run import experiment

LEAST_RATIO = 0.7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-breed", type=int, default=4, help="photos a breed; 0: all")
    parser.add_argument("--model", default=DEFAULT)
    options = parser.parse_args()
    photos = photos_folder()
    if photos is None:
        return SKIPPED
    compute = choose_compute()
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        work = Path(folder)
        manifest, pixels = make_dataset(photos, work, options.per_breed)
        print(
            f"{options.model}, {len(manifest.rows)} photos, on {compute.accelerator} in "
            f"{compute.precision}"
        )
        good = [
            measured(options.model, layers, manifest, pixels, work) >= LEAST_RATIO
            for layers in (ALL, LAST)
        ]
    return 0 if all(good) else 1


def measured(model: str, layers: str, manifest: Manifest, pixels: PixelReader, work: Path) -> float:
    """Train one epoch, print both speeds and return their ratio."""
    tracker = NullTracker()
    experiment(
        TrainConfig(model=model, recipe="finetune", layers=layers, max_epochs=1),
        manifest,
        pixels=pixels,
        cache=work / "cache",
        tracker=tracker,
    )
    told = tracker.runs[0].metrics
    (ours,) = (metric.value for metric in told if metric.name == "photos_per_s")
    bare = statistics.mean(m.value for m in told if m.name == "bare_photos_per_s")
    print(
        f"  --layers {layers:<5} {ours:6.1f} photos/s, bare {bare:6.1f}, ratio {ours / bare:.2f}, "
        f"at least {LEAST_RATIO}",
        flush=True,
    )
    return ours / bare


if __name__ == "__main__":
    sys.exit(main())
