"""Optimisers by name, and their rate by step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from doggo.train.config import SGD, TrainConfig

MOMENTUM = 0.9
_WARM_UP = 0.05  # of all steps
_FLOOR = 0.01  # of the rate, at the end of the cosine


def optimizers(model: nn.Module, config: TrainConfig, steps: int) -> dict[str, Any]:
    """Return what Lightning's `configure_optimizers` gives back.

    `sgd` keeps its rate; that of `adamw` rises for a twentieth of the steps, then follows half a
    cosine down. Biases and the weights of norms are not decayed.

    Args:
        config: resolved.
        steps: of the whole run, if it is not stopped early.
    """
    assert config.lr is not None
    assert config.weight_decay is not None
    groups = _groups(model.parameters(), config.weight_decay)
    if config.optimizer == SGD:
        return {"optimizer": torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM)}
    optimizer = torch.optim.AdamW(groups, lr=config.lr)
    schedule = LambdaLR(optimizer, lambda step: rate(step, steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: warm-up, then half a cosine."""
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    done = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * done))


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
