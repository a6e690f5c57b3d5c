"""Cutting a network: the parts compute what the whole does, and norms keep their statistics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from doggo.core.errors import UsageError
from doggo.nets.network import DogNet, make_network
from doggo.train.student import Whole, cut

LABELS = ("a", "b", "c")


def _network(name: str) -> DogNet:
    torch.manual_seed(0)
    return make_network(name, LABELS, pretrained=False)[0]


def _pixels(n: int, size_px: int) -> Tensor:
    return torch.randint(0, 256, (n, size_px, size_px, 3), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("name", "size_px"),
    [("test_efficientnet.r160_in1k", 64), ("test_resnet.r160_in1k", 64),
     ("mobilenetv3_small_100", 96), ("resnet18", 96), ("efficientnet_lite0", 96)],
)  # fmt: skip
def test_front_and_tail_in_a_row_are_the_network(name: str, size_px: int) -> None:
    network = _network(name)
    front, tail = cut(network, name, size_px)
    images = _pixels(2, size_px)
    with torch.inference_mode():
        expected = network(images)[0]
        tail.eval()
        assert torch.allclose(tail(front(images)), expected, atol=1e-5)
        assert torch.allclose(tail(front(images).half()), expected, atol=2e-2)
        whole = Whole(network).eval()
        assert torch.equal(whole(images), expected)


def test_lite0_is_cut_before_its_last_two_stages() -> None:
    network = _network("efficientnet_lite0")
    front, tail = cut(network, "efficientnet_lite0", 224)
    with torch.inference_mode():
        assert front(_pixels(1, 224)).shape == (1, 14, 14, 112)
    trained = {id(p) for p in tail.parameters()}
    stages = network.features.body.blocks
    assert all(id(p) in trained for p in stages[5:].parameters())
    assert not any(id(p) in trained for p in stages[:5].parameters())
    assert not any(id(p) in trained for p in network.imagenet_head.parameters())


def test_a_network_that_is_no_row_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="--layers last cannot cut model test_vit"):
        cut(_network("test_vit.r160_in1k"), "test_vit.r160_in1k", 160)


def test_training_leaves_the_statistics_of_batch_norm_alone() -> None:
    network = _network("test_resnet.r160_in1k")
    before = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    student = Whole(network).train()
    student(_pixels(4, 64)).sum().backward()
    assert before
    assert all(torch.equal(network.state_dict()[k], v) for k, v in before.items())
    assert all(p.grad is not None for p in student.parameters())
