"""Photos in batches: which ones, in what order, and as what the network sees of them.

The order and every transformation depend on seed, epoch and photo alone: not on the number of
processes that load, nor on what was drawn before. So a run that goes on after a kill sees what
it would have seen.

Legend: N photos, S side in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from doggo.core.records import ManifestRow
from doggo.train.augment import augment
from doggo.vision.cores import available_cores
from doggo.vision.embeddings import Pixels
from doggo.vision.view import View

I64 = NDArray[np.int64]

Place = tuple[int, int]
"""Epoch, and index of a photo."""

Example = tuple[Tensor, int]


class Examples(Protocol):
    """What is trained or validated on, one photo a place.

    Attributes:
        labels_N: index of each photo's breed.
    """

    labels_N: I64  # noqa: N815

    def __len__(self) -> int: ...

    def __getitem__(self, place: Place) -> Example: ...


_MOST_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of every batch this process takes."""

    rank: int = 0
    of: int = 1


class Photos:
    """Photos as uint8 [S, S, 3] with the index of their breed.

    Args:
        probability: of each transformation; None: the view that serves.
    """

    def __init__(
        self,
        rows: Sequence[ManifestRow],
        labels_N: I64,
        pixels: Pixels,
        view: View,
        *,
        seed: int = 0,
        probability: float | None = None,
    ) -> None:
        self.labels_N = labels_N
        self._rows, self._pixels, self._view = list(rows), pixels, view
        self._seed, self._probability = seed, probability

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Place) -> Example:
        epoch, index = place
        image_HWC = self._pixels.image(self._rows[index])
        if self._probability is None:
            square_HWC = self._view.crop(image_HWC)
        else:
            rng = np.random.default_rng((self._seed, epoch, index))
            square_HWC = augment(image_HWC, self._view.size_px, self._probability, rng)
        return torch.from_numpy(square_HWC), int(self.labels_N[index])


class Shuffled(Sampler[list[Place]]):
    """Batches of a whole training set, in another order each epoch.

    Processes share each batch, so that a batch is as large whatever their number. A last batch
    that is too small for all of them is left out.
    """

    def __init__(self, n: int, size: int, seed: int, share: Share) -> None:
        self._n, self._size, self._seed, self._share = n, size, seed, share
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._n, self._size)
        return whole + (rest >= self._share.of)

    def __iter__(self) -> Iterator[list[Place]]:
        order_N = np.random.default_rng((self._seed, self._epoch)).permutation(self._n)
        for number in range(len(self)):
            batch = order_N[number * self._size : (number + 1) * self._size]
            mine = batch[self._share.rank :: self._share.of]
            yield [(self._epoch, int(index)) for index in mine]


class InOrder(Sampler[list[Place]]):
    """Each of these photos once, in order; of several processes each takes every n-th."""

    def __init__(self, indices: Sequence[int], size: int, share: Share | None = None) -> None:
        share = share or Share()
        self._mine, self._size = indices[share.rank :: share.of], size

    def __len__(self) -> int:
        return math.ceil(len(self._mine) / self._size)

    def __iter__(self) -> Iterator[list[Place]]:
        for start in range(0, len(self._mine), self._size):
            yield [(0, index) for index in self._mine[start : start + self._size]]


def in_batches(
    examples: Examples, batches: Sampler[list[Place]], *, workers: int = 0
) -> DataLoader[Example]:
    """Return what gives (inputs, labels) by batch.

    Args:
        workers: processes that read and transform; 0: this one.
    """
    return DataLoader(
        cast("Dataset[Example]", examples),
        batch_sampler=batches,
        num_workers=workers,
        # Not a fork: runtimes and object stores have threads here, and a forked copy of those
        # waits for ever or crashes.
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def gather(answers_of_ranks: Sequence[NDArray[np.float32]], n: int) -> NDArray[np.float32]:
    """Return the answers [n, K] of `InOrder` from those that each process has."""
    answers_NK = np.empty((n, answers_of_ranks[0].shape[1]), np.float32)
    for rank, answers in enumerate(answers_of_ranks):
        answers_NK[rank :: len(answers_of_ranks)] = answers
    return answers_NK


def loading_workers(*, gpu: bool, devices: int) -> int:
    """Return how many processes load photos for each device.

    On a processor none: the network itself has need of every core, and a photo costs a fiftieth
    of its training step. A GPU waits for photos.
    """
    cores = available_cores()
    return min(_MOST_WORKERS, max(1, cores // devices - 1)) if gpu else 0
