"""Optimisers: the rate by step, and what is decayed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from doggo.train.config import FINETUNE, TrainConfig
from doggo.train.optimizers import MOMENTUM, optimizers, rate

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def _config(**options: object) -> TrainConfig:
    return TrainConfig.from_json({"recipe": FINETUNE, **options}).resolved()


def test_the_rate_rises_then_follows_a_cosine_down() -> None:
    rates = [rate(step, 200) for step in range(201)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[105] == pytest.approx(0.505, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)


def test_sgd_is_that_of_2023_with_momentum() -> None:
    made = optimizers(NET, _config(), steps=10)
    assert set(made) == {"optimizer"}
    optimizer = made["optimizer"]
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
    assert {group["momentum"] for group in optimizer.param_groups} == {MOMENTUM}


def test_adamw_decays_weights_and_neither_biases_nor_norms() -> None:
    made = optimizers(NET, _config(optimizer="adamw"), steps=10)
    decayed, others = made["optimizer"].param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (1e-2, 0.0)
    assert [p.ndim for p in decayed["params"]] == [4]
    assert len(others["params"]) == 3
    assert made["lr_scheduler"]["interval"] == "step"
