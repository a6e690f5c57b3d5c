"""A shipped network in two parts: the same body is known again, the heads answer as the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from doggo.export.formats import write_onnx
from doggo.nets.cut import Cut, cut
from doggo.nets.network import DogNet, make_network
from doggo.vision.pairs import usable_pairs
from doggo.vision.runtime import open_session

SMALL = "test_efficientnet.r160_in1k"
LABELS = ("bull_mastiff", "dalmatian", "pug")


@pytest.fixture
def network() -> DogNet:
    torch.manual_seed(0)
    made, _ = make_network(SMALL, LABELS, pretrained=False)
    return made


def written(network: DogNet, file: Path) -> Cut:
    write_onnx(network, 160, file)
    parts = cut(file)
    assert parts is not None
    return parts


def test_another_head_leaves_the_body_what_it_was(network: DogNet, tmp_path: Path) -> None:
    before = written(network, tmp_path / "before.onnx")
    with torch.no_grad():
        network.breed_head.weight.add_(1)
    after = written(network, tmp_path / "after.onnx")
    assert after.body_sha256 == before.body_sha256
    assert after.heads != before.heads


def test_a_body_that_learned_is_another_one(network: DogNet, tmp_path: Path) -> None:
    before = written(network, tmp_path / "before.onnx")
    with torch.no_grad():
        next(network.features.body.parameters()).mul_(1.01)
    assert written(network, tmp_path / "after.onnx").body_sha256 != before.body_sha256


@pytest.mark.parametrize("pair", usable_pairs(), ids=lambda pair: pair.name)
def test_heads_alone_answer_as_the_whole(network: DogNet, tmp_path: Path, pair) -> None:
    parts = written(network, tmp_path / "model.onnx")
    images_NHWC = np.random.default_rng(0).integers(0, 256, (5, 160, 160, 3), np.uint8)
    whole = open_session(tmp_path / "model.onnx", pair).run(images_NHWC)
    heads = open_session(parts.heads, pair).run(whole["features"])
    assert set(heads) == set(whole) - {"features"}
    for name in heads:
        np.testing.assert_allclose(heads[name], whole[name], atol=1e-3)
