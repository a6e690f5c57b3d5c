"""The trained probe beside the model it starts from: validation top-1, three seeds.

Each seed splits the photos anew and orders the training. Both models answer the same validation
photos from the same embeddings; test photos are not looked at. Top-1 must not be lower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from _dataset import SKIPPED, make_dataset, photos_folder
from doggo.core.metrics import paired_bootstrap_difference, wilson_interval
from doggo.core.records import Manifest, Photo, Split
from doggo.nets.backbones import DEFAULT
from doggo.nets.candidate import load_candidate
from doggo.nets.network import features_sha256
from doggo.preprocess.split import assign_sides
from doggo.storage.shards import PixelReader
from doggo.tracking.null import NullTracker
from doggo.train.bootstrap import bootstrap_candidate
from doggo.train.config import TrainConfig
from doggo.train.run import train
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, embed
from doggo.vision.pairs import fastest_pair
from doggo.vision.runtime import open_session


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--per-breed", type=int, default=0, help="photos a breed; 0: all")
    options = parser.parse_args()
    photos = photos_folder()
    if photos is None:
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        work = Path(folder)
        manifest, pixels = make_dataset(photos, work, options.per_breed)
        bootstrap = bootstrap_candidate(DEFAULT, work / "bootstrap")
        print(f"{DEFAULT}, {len(manifest.rows)} photos, {len(manifest.breeds)} breeds")
        good = [compared(resplit(manifest, s), pixels, bootstrap, work, s) for s in options.seeds]
    return 0 if all(good) else 1


def resplit(manifest: Manifest, seed: int) -> Manifest:
    """Return the same photos on the sides that a first import with this seed would give."""
    photos = [
        Photo(
            photo_id=row.photo_id, source_sha256="", breed=row.breed, raw_key="", width_px=0,
            height_px=0, phash="", group_id=row.group_id,
        )
        for row in manifest.rows
    ]  # fmt: skip
    sides = assign_sides(photos, {}, seed)
    rows = tuple(replace(row, split=sides[row.photo_id]) for row in manifest.rows)
    return replace(manifest, rows=rows)


def compared(
    manifest: Manifest, pixels: PixelReader, bootstrap: Path, work: Path, seed: int
) -> bool:
    """Train, print both models' figures and return whether the probe's are not lower."""
    cache, tracker = work / "cache", NullTracker()
    started = time.perf_counter()
    probe = train(
        TrainConfig(seed=seed), manifest, pixels=pixels, cache=cache, tracker=tracker,
        work=work / f"probe-{seed}",
    )  # fmt: skip
    seconds = time.perf_counter() - started
    rows = manifest.of(Split.VALIDATION)
    before, after = (hits(folder, manifest, pixels, cache) for folder in (bootstrap, probe))
    difference = paired_bootstrap_difference(after, before)
    interval = wilson_interval(int(after.sum()), len(rows))
    figures = {metric.name: metric.value for metric in tracker.runs[0].metrics}
    print(
        f"seed {seed}: validation top-1 bootstrap {before.mean():.2%}, probe {after.mean():.2%} "
        f"({interval.low:.1%} to {interval.high:.1%}, {len(rows)} photos), difference "
        f"{100 * difference.value:+.2f} points ({100 * difference.low:+.2f} to "
        f"{100 * difference.high:+.2f}); training top-1 {figures['best_train_top1']:.2%}; "
        f"epoch {figures['best_epoch']:.0f} kept; "
        f"macro AUROC {figures['best_val_macro_auroc']:.5f}; "
        f"{figures['seconds_train']:.1f} s of {seconds:.1f} s in training",
        flush=True,
    )
    return bool(after.sum() >= before.sum())


def hits(folder: Path, manifest: Manifest, pixels: PixelReader, cache: Path) -> np.ndarray:
    """Return for each validation photo whether the candidate's first answer is right."""
    info, network = load_candidate(folder)
    rows = manifest.of(Split.VALIDATION)
    key = EmbeddingKey(
        features_sha256=features_sha256(network.features), view=info.view, pair=fastest_pair(),
        decoder=manifest.decoder, step=manifest.step,
    )  # fmt: skip
    graph = next((cache / "graphs").glob("*.onnx"))
    features_ND = embed(
        rows,
        pixels,
        lambda: open_session(graph, key.pair),
        key=key,
        cache=EmbeddingCache(cache / "embeddings"),
    )
    weight_KD = network.breed_head.weight.detach().numpy()
    answers = (features_ND @ weight_KD.T + network.breed_head.bias.detach().numpy()).argmax(axis=1)
    return np.array([info.labels[k] == row.breed for k, row in zip(answers, rows, strict=True)])


if __name__ == "__main__":
    sys.exit(main())
