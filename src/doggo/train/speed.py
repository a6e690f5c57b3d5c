"""Photos a second: what a training reaches, and what its network alone could.

Owns both measurements. Knows nothing of photos or of checkpoints.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn

from doggo.train.compute import Compute

_STEPS = 3


def bare_photos_per_s(student: nn.Module, batch: tuple[Tensor, Tensor], compute: Compute) -> float:
    """Return the speed of forward and backward on one batch that lies ready, nothing else.

    The floor of a training step: no photo is read, no weight is changed. One step before those
    that are timed; the median counts. Gradients are gone afterwards.
    """
    device = compute.device
    student.to(device).train()
    inputs, labels_N = (part.to(device) for part in batch)
    seconds = []
    for _ in range(_STEPS + 1):
        _settle(device)
        started_s = time.perf_counter()
        with autocast(compute):
            loss = nn.functional.cross_entropy(student(inputs), labels_N)
        torch.autograd.backward(loss)
        _settle(device)
        seconds.append(time.perf_counter() - started_s)
        student.zero_grad(set_to_none=True)
    return len(labels_N) / statistics.median(seconds[1:])


def autocast(compute: Compute) -> torch.autocast:
    """Return the context in which a step is computed in the chosen precision."""
    dtype = torch.float16 if compute.precision.startswith("16") else torch.bfloat16
    mixed = compute.precision.endswith("mixed")
    return torch.autocast(compute.device.type, dtype=dtype, enabled=mixed)


class Pace:
    """Photos a second over the training steps of every epoch; validation does not count."""

    def __init__(self) -> None:
        self.photos, self.seconds = 0, 0.0
        self._started_s = 0.0
        self._seen = 0

    def begin_epoch(self) -> None:
        """The first batch is about to be read."""
        self._started_s, self._seen = time.perf_counter(), 0

    def count(self, photos: int) -> None:
        """A step is done."""
        self._seen += photos

    def end_epoch(self) -> None:
        """The last step is done."""
        self.photos += self._seen
        self.seconds += time.perf_counter() - self._started_s

    @property
    def photos_per_s(self) -> float:
        return self.photos / self.seconds if self.seconds else 0.0


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
