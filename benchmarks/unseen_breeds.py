"""Dogs of breeds that a model has not: how often it names one of its own breeds with confidence.

Models of a few breeds, drawn from all that are there, are trained, exported and calibrated as
`doggo run` does it. Each answers the test photos of its own breeds, and those of the others, which
it never saw. The peer is the same model without the known share, sure by its probability alone.
ImageNet has all these breeds and most likely these photos: the figures flatter.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from _dataset import SKIPPED, make_dataset, photos_folder
from doggo.core.records import Manifest, ManifestRow, Split, Verdict
from doggo.export.run import export
from doggo.storage.shards import PixelReader
from doggo.tracking.null import NullTracker
from doggo.train.config import TrainConfig
from doggo.train.run import train
from doggo.vision.predictor import Predictor
from doggo.vision.verdict import Evidence, Thresholds

LARGEST_SHARE_NAMED = 0.15
LARGEST_LOSS = 0.05
_BATCH = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--breeds", type=int, nargs="+", default=[3, 10, 30, 90])
    parser.add_argument("--others", type=int, default=600, help="at most this many other dogs")
    options = parser.parse_args()
    photos = photos_folder()
    if photos is None:
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        work = Path(folder)
        manifest, pixels = make_dataset(photos, work, 0)
        print(f"{len(manifest.rows)} photos, {len(manifest.breeds)} breeds")
        counts = [count for count in options.breeds if count < len(manifest.breeds)]
        good = [judged(manifest, pixels, work, count, options.others) for count in counts]
    return 0 if all(good) else 1


def judged(
    manifest: Manifest, pixels: PixelReader, work: Path, count: int, most_others: int
) -> bool:
    """Train a model of `count` breeds, print its figures and return whether they hold."""
    draw = random.Random(count)
    own = set(draw.sample(sorted(manifest.breeds), count))
    few = replace(manifest, rows=tuple(row for row in manifest.rows if row.breed in own))
    folder = work / f"{count}-breeds"
    candidate = train(
        TrainConfig(seed=42), few, pixels=pixels, cache=work / "cache", tracker=NullTracker(),
        work=folder,
    )  # fmt: skip
    bundle = export(candidate, folder / "bundle", manifest=few, pixels=pixels, cache=work / "cache")
    predictor = Predictor.load(bundle)
    tests = manifest.of(Split.TEST)
    others = [row for row in tests if row.breed not in own]
    mine = answers(predictor, pixels, [row for row in tests if row.breed in own])
    theirs = answers(predictor, pixels, draw.sample(others, min(most_others, len(others))))
    thresholds = predictor.bundle.thresholds
    bare = replace(thresholds, known_share=0)
    named, kept = share_named(theirs, thresholds), share_named(mine, thresholds)
    lost = share_named(mine, bare) - kept
    good = named <= LARGEST_SHARE_NAMED and lost <= LARGEST_LOSS
    print(
        f"{count:>3} breeds: of {len(theirs)} other dogs {named:6.1%} named "
        f"(at most {LARGEST_SHARE_NAMED:.0%}), {share_named(theirs, bare):6.1%} by the probability "
        f"alone; of {len(mine)} own dogs {kept:6.1%} named, {lost:5.1%} lost (at most "
        f"{LARGEST_LOSS:.0%}); known share {thresholds.known_share:.3f}: "
        f"{'holds' if good else 'BELOW'}",
        flush=True,
    )
    return good


def answers(
    predictor: Predictor, pixels: PixelReader, rows: Sequence[ManifestRow]
) -> list[Evidence]:
    """Return what the predictor sees in these photos."""
    view, found = predictor.bundle.view, []
    for start in range(0, len(rows), _BATCH):
        images = [view.crop(pixels.image(row)) for row in rows[start : start + _BATCH]]
        found += predictor.infer(np.stack(images))
    return found


def share_named(found: Sequence[Evidence], thresholds: Thresholds) -> float:
    """Return the share of photos that are answered with a breed, right or wrong."""
    return sum(thresholds.verdict(one) is Verdict.BREED for one in found) / len(found)


if __name__ == "__main__":
    sys.exit(main())
