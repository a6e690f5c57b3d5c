"""The course of a training: figures by epoch, and which epoch is kept.

Pure. Legend: N photos, K breeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggo.core.metrics import log_loss, macro_auroc, top_k

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

AUROC, SELECTION = "val_macro_auroc", "selection"
_NOT_ELIGIBLE = -1.0  # below any AUROC


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """Figures after `number` epochs; 0 is before training.

    Attributes:
        train_loss, train_top1: as seen while training: the weights change from step to step.
        eligible: its validation top-1 is not below that of epoch 0.
    """

    number: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    val_macro_auroc: float
    eligible: bool

    @property
    def selection(self) -> float:
        """By which epochs are compared: macro AUROC, below any of it if not eligible."""
        return self.val_macro_auroc if self.eligible else _NOT_ELIGIBLE


def next_epoch(
    curve: Sequence[Epoch],
    probabilities_NK: F32,
    labels_N: I64,
    *,
    train_loss: float,
    train_top1: float,
) -> Epoch:
    """Return the epoch that follows a curve, from the answers on the whole validation set.

    Raises:
        InputError: the training diverged.
    """
    top1 = top_k(probabilities_NK, labels_N)
    return Epoch(
        number=len(curve),
        train_loss=train_loss,
        train_top1=train_top1,
        val_loss=log_loss(probabilities_NK, labels_N),
        val_top1=top1,
        val_macro_auroc=macro_auroc(probabilities_NK, labels_N),
        eligible=not curve or top1 >= curve[0].val_top1,
    )


def best_epoch(curve: Sequence[Epoch]) -> Epoch:
    """Return the epoch to keep; ties go to the earliest: to the least change."""
    return max(curve, key=lambda epoch: epoch.selection)
