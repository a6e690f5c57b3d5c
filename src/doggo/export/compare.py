"""Comparisons made before a bundle is sealed: formats with PyTorch, runtimes with each other.

Owns parity and the trials of runtime pairs. Every figure comes from the files that are
shipped. Knows nothing of folders, manifests or thresholds.

Legend: N photos, K breeds, H W C a picture, P pairs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from doggo.core.errors import BundleError
from doggo.core.metrics import Z95, wilson_interval
from doggo.export.formats import read_torchscript
from doggo.nets.network import DogNet
from doggo.vision.bundle import PARITY_TOLERANCE, Parity
from doggo.vision.cores import available_cores
from doggo.vision.pairs import REFERENCE, Pair, Trial
from doggo.vision.runtime import Session, open_session
from doggo.vision.verdict import calibrated

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

PARITY_PHOTOS = 64
_CHUNK = 8
_TORCH_BATCH = 2  # the activations stay in a core's cache
_Z_EARLY = 3.0
_EARLIEST_LOOK = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """A network's raw outputs: logits float32 [N, K], dog mass and known share float32 [N]."""

    logits_NK: F32  # noqa: N815
    dog_mass_N: F32  # noqa: N815
    known_share_N: F32  # noqa: N815

    def __len__(self) -> int:
        return len(self.logits_NK)

    def first(self, n: int) -> Answers:
        """Return those of the first n photos."""
        return Answers(
            logits_NK=self.logits_NK[:n],
            dog_mass_N=self.dog_mass_N[:n],
            known_share_N=self.known_share_N[:n],
        )


def check_parity(network: DogNet, folder: Path, images_NHWC: U8, *, real: bool) -> Parity:
    """Return how far `model.onnx` and `model.ts` are from the PyTorch network; the worse of both.

    Args:
        real: the pictures are photos; drawn ones are compared, but not counted as photos.

    Raises:
        BundleError: one of them gives other answers.
    """
    eager = _outputs(network, images_NHWC)
    script = _outputs(read_torchscript(folder / "model.ts"), images_NHWC)
    onnx = answer(open_session(folder / "model.onnx", REFERENCE), images_NHWC)
    difference, same_N = 0.0, np.ones(len(images_NHWC), bool)
    for name, exported in (("model.ts", script), ("model.onnx", onnx)):
        found = largest_difference(eager, exported)
        if not found <= PARITY_TOLERANCE:
            raise BundleError(
                f"{name} does not answer as the trained network: probabilities differ by "
                f"{found:.2g}, allowed are {PARITY_TOLERANCE:g}; nothing was exported"
            )
        difference = max(difference, found)
        same_N &= exported.logits_NK.argmax(axis=1) == eager.logits_NK.argmax(axis=1)
    photos = len(images_NHWC) if real else 0
    low, high = wilson_interval(int(same_N.sum()) if real else 0, photos)
    return Parity(
        max_difference=difference,
        top1_agreement=float(same_N.mean()),
        low=low,
        high=high,
        photos=photos,
    )


def answer(session: Session, inputs: U8 | F32) -> Answers:
    """Return what a session says: of pictures, or of features if it holds the heads alone."""
    outputs = session.run(inputs)
    return Answers(
        logits_NK=outputs["logits"],
        dog_mass_N=outputs["dog_mass"],
        known_share_N=outputs["known_share"],
    )


def joined(parts: Sequence[Answers]) -> Answers:
    """Return answers that were given in several parts as one; there is at least one part."""
    return Answers(
        logits_NK=np.concatenate([part.logits_NK for part in parts]),
        dog_mass_N=np.concatenate([part.dog_mass_N for part in parts]),
        known_share_N=np.concatenate([part.known_share_N for part in parts]),
    )


def run_pairs(
    sessions: Mapping[Pair, Session],
    images: Callable[[slice], U8],
    places: range,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[dict[Pair, Answers], dict[Pair, float]]:
    """Return each pair's answers for the pictures at `places`, and its milliseconds a picture.

    The pairs take turns on small chunks, so that whatever else the machine does slows them
    alike; the time is the median over the chunks. Both are empty if there are no places.

    Args:
        images: gives uint8 [N, H, W, 3] of some consecutive places.
        progress: told the place reached.
    """
    parts: dict[Pair, list[Answers]] = defaultdict(list)
    times_ms: dict[Pair, list[float]] = defaultdict(list)
    for start in places[::_CHUNK]:
        stop = min(start + _CHUNK, places.stop)
        images_NHWC = images(slice(start, stop))
        for pair, session in sessions.items():
            began = time.perf_counter()
            parts[pair].append(answer(session, images_NHWC))
            times_ms[pair].append(1000 * (time.perf_counter() - began) / (stop - start))
        progress(stop)
    answers = {pair: joined(found) for pair, found in parts.items()}
    return answers, {pair: float(np.median(times)) for pair, times in times_ms.items()}


def looks(n: int) -> tuple[int, ...]:
    """Return after how many of n photos a comparison may be over: at sixths of them, and at all.

    Looking often makes it likelier to be wrong once. Haybittle (1971) and Peto (1976): look early
    only for what is beyond 3 standard errors, and the last look may stay at 1.96. Simulated for
    pairs that lose exactly a point, 1,320 photos: 3.3 % are let through instead of 3.0 %, and
    6.2 % instead of 4.8 % where no photo at all is gained. The first look comes late enough that
    photos without a single difference do not decide it by chance.
    """
    parts = (-(-part * n // 6) for part in range(1, 6))
    return (*(part for part in parts if part >= _EARLIEST_LOOK), n)


def trials(
    answers: Mapping[Pair, Answers], ms_per_photo: Mapping[Pair, float], labels_N: NDArray[np.int64]
) -> tuple[Trial, ...]:
    """Return how each pair's top-1 compares with the reference's on labelled photos.

    A pair is compared on the photos, the first, that both it and the reference have answered. If
    that is an early look of several (`looks`), the interval has 3 standard errors to each side.
    """
    hits = {
        pair: found.logits_NK.argmax(axis=1) == labels_N[: len(found.logits_NK)]
        for pair, found in answers.items()
    }
    found = []
    for pair, hits_N in sorted(hits.items()):
        n = min(len(hits_N), len(hits[REFERENCE]))
        z = _Z_EARLY if n in looks(len(labels_N))[:-1] else Z95
        found.append(_trial(pair, hits_N[:n], hits[REFERENCE][:n], ms_per_photo[pair], z))
    return tuple(found)


def paired_interval(gained: int, lost: int, n: int, z: float = Z95) -> tuple[float, float, float]:
    """Return the difference of two paired proportions and its adjusted Wald 95 % interval.

    Agresti and Min (2005): half an observation is added to each of the four cells. Unlike a
    bootstrap it keeps a width where two models never differ, which says nothing of 5 photos
    and much of 500: without a difference the loss is surely below a point from 194 photos on.
    """
    difference = (gained - lost) / (n + 2)
    spread = (gained + lost + 1) - (gained - lost) ** 2 / (n + 2)
    half = z * float(np.sqrt(spread)) / (n + 2)
    return (gained - lost) / n, difference - half, difference + half


def _trial(
    pair: Pair, hits_N: NDArray[np.bool_], reference_N: NDArray[np.bool_], ms: float, z: float
) -> Trial:
    gained, lost = int((hits_N & ~reference_N).sum()), int((reference_N & ~hits_N).sum())
    difference, low, high = paired_interval(gained, lost, len(hits_N), z)
    if pair == REFERENCE:
        low = high = 0.0
    return Trial(
        pair=pair,
        top1_difference=difference,
        low=low,
        high=high,
        ms_per_photo=round(ms, 3),
        photos=len(hits_N),
    )


def _outputs(network: Callable[[torch.Tensor], tuple[torch.Tensor, ...]], images: U8) -> Answers:
    """Return what a torch network says of uint8 [N, H, W, 3].

    Each core takes photos of its own, as the runtimes do: a fifth faster than sharing them.
    """

    def few(start: int) -> Answers:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(images[start : start + _TORCH_BATCH]))
        logits_NK, dog_mass_N, known_share_N, _ = (output.numpy() for output in outputs)
        return Answers(logits_NK=logits_NK, dog_mass_N=dog_mass_N, known_share_N=known_share_N)

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(available_cores(), "parity", torch.set_num_threads, (1,)) as cores:
            return joined(list(cores.map(few, range(0, len(images), _TORCH_BATCH))))
    finally:
        torch.set_num_threads(threads)


def largest_difference(one: Answers, other: Answers) -> float:
    """Return the largest absolute difference of a probability, dog mass or known share."""
    if one.logits_NK.shape != other.logits_NK.shape:
        return float("inf")
    probabilities = np.abs(calibrated(one.logits_NK, 1) - calibrated(other.logits_NK, 1)).max()
    dog_mass = np.abs(one.dog_mass_N - other.dog_mass_N).max()
    known_share = np.abs(one.known_share_N - other.known_share_N).max()
    return float(max(probabilities, dog_mass, known_share))
