"""What every recipe is given, and what it gives back.

Legend: N photos, K breeds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doggo.core.progress import Progress
from doggo.core.records import Manifest, ManifestRow, Split
from doggo.nets.network import DogNet
from doggo.tracking.port import Run
from doggo.train.config import TrainConfig
from doggo.train.curve import Epoch
from doggo.vision.embeddings import Pixels
from doggo.vision.pairs import Pair
from doggo.vision.view import View

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Photos of a run and where things lie.

    Attributes:
        rows: train and validation photos.
        labels: the breeds, in the order of the logits.
        view: what the network is fed.
        pair: runtime that computes embeddings.
        cache: folder for what can be computed again.
        work: folder for the candidate, its checkpoints and charts.
    """

    manifest: Manifest
    rows: Sequence[ManifestRow]
    labels: Sequence[str]
    view: View
    pixels: Pixels
    pair: Pair
    cache: Path
    work: Path
    progress: Progress

    def side(self, split: Split) -> tuple[list[ManifestRow], I64]:
        """Return one side's photos and the index of each one's breed [N]."""
        index = {label: k for k, label in enumerate(self.labels)}
        rows = [row for row in self.rows if row.split == split]
        return rows, np.array([index[row.breed] for row in rows], np.int64)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went.

    Attributes:
        curve: figures by epoch; best: the one whose weights are kept.
        val_logits_NK: what these answer on validation; val_labels_N: what is right.
        val_labels_N: index of the true breed.
    """

    curve: tuple[Epoch, ...]
    best: Epoch
    val_logits_NK: F32  # noqa: N815
    val_labels_N: I64  # noqa: N815
    train_photos: int


class Recipe(Protocol):
    """A way to train a network."""

    def __call__(
        self, network: DogNet, inputs: Inputs, *, config: TrainConfig, run: Run, clock: Clock
    ) -> Outcome:
        """Train the network in place.

        Args:
            config: resolved.
            run: told what the recipe alone knows.

        Raises:
            InputError: the training diverged.
        """
        ...


class Clock:
    """Seconds of each step, one after another.

    Args:
        before: seconds that some steps took before this clock was started.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.laps: dict[str, float] = dict(before or {})
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a step, or another part of it."""
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now
