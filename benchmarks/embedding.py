"""Embedding beside the bare runtime: how much of its throughput is left after everything else.

Bare is the same session fed the same prepared batch again and again. Ours reads pixels from
memory-mapped shards, cuts each photo's view, runs the session, and keeps the embeddings on
disk. Both take turns, and the median of the paired ratios counts: the machine may be shared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from _dataset import SKIPPED, make_dataset, photos_folder
from doggo.nets.backbones import DEFAULT, backbone
from doggo.nets.features_graph import features_graph
from doggo.nets.network import features_sha256, make_network
from doggo.vision.embeddings import BATCH, EmbeddingCache, EmbeddingKey, embed
from doggo.vision.pairs import Pair, fastest_pair
from doggo.vision.runtime import Session, open_session
from doggo.vision.view import View

LEAST_RATIO = 0.85


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-breed", type=int, default=10, help="photos a breed; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pair", default="", help="such as onnxruntime-f32; empty: the fastest")
    options = parser.parse_args()
    photos = photos_folder()
    if photos is None:
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        work = Path(folder)
        manifest, pixels = make_dataset(photos, work, options.per_breed)
        network, _ = make_network(DEFAULT, manifest.breeds)
        sha256 = features_sha256(network.features)
        graph = features_graph(work / "graphs", network.features, DEFAULT, sha256)
        spec = backbone(DEFAULT)
        key = EmbeddingKey(
            features_sha256=sha256,
            view=View(size_px=spec.size_px, resize_px=spec.resize_px),
            pair=Pair.parse(options.pair) if options.pair else fastest_pair(),
            decoder=manifest.decoder,
            step=manifest.step,
        )
        session = open_session(graph, key.pair)
        # The same session on both sides: opening it is paid once a run, not once a photo.
        rows = manifest.rows
        batch_NHWC = np.stack([key.view.crop(pixels.image(row)) for row in rows[:BATCH]])
        bare_s(session, batch_NHWC, len(rows))  # caches and clock speed settle
        rounds = []
        for number in range(options.rounds):
            bare = bare_s(session, batch_NHWC, len(rows))
            cache = EmbeddingCache(work / f"embeddings-{number}")
            started = time.perf_counter()
            embed(rows, pixels, lambda: session, key=key, cache=cache)
            rounds.append((bare, time.perf_counter() - started))
    return report(rounds, len(rows), key.pair)


def bare_s(session: Session, batch_NHWC: np.ndarray, photos: int) -> float:
    """Return the seconds that the runtime alone takes for so many photos."""
    whole, rest = divmod(photos, len(batch_NHWC))
    started = time.perf_counter()
    for _ in range(whole):
        session.run(batch_NHWC)
    if rest:
        session.run(batch_NHWC[:rest])
    return time.perf_counter() - started


def report(rounds: list[tuple[float, float]], photos: int, pair: Pair) -> int:
    bare, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(b / o for b, o in rounds)
    print(f"{DEFAULT} in {pair.name}, {photos} photos in batches of {BATCH}, {len(rounds)} rounds")
    print(f"  bare runtime {bare:6.2f} s  {photos / bare:6.0f} photos/s")
    print(f"  embedding    {ours:6.2f} s  {photos / ours:6.0f} photos/s")
    print(f"  ratio        {ratio:6.2f}    at least {LEAST_RATIO}")
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
