"""The part of a network that is trained, as one module: what is fed in, breed logits out.

Owns the two ways to cut a network: all of it, or its last blocks behind a frozen front. Batch
norm keeps the statistics of ImageNet in both: a batch of one's own photos is too small to
estimate them, and so every process of several computes the same.

Legend: N photos, K breeds, H height, W width, C channels, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from doggo.core.errors import UsageError
from doggo.nets.network import DogNet, FeatureNet


class Student(nn.Module):
    """A trained part; its modules are those of the network it was made from."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training or back; batch norm always computes as in serving."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


class Whole(Student):
    """Body and breed head: uint8 [N, S, S, 3] to logits [N, K]."""

    def __init__(self, network: DogNet) -> None:
        super().__init__()
        self.features = network.features
        self.head = network.breed_head

    def forward(self, images_NHWC: Tensor) -> Tensor:
        return cast("Tensor", self.head(self.features(images_NHWC)))


class Tail(Student):
    """The last blocks and the breed head: float16 [N, H, W, C] of `Front` to logits [N, K]."""

    def __init__(self, blocks: Sequence[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.head = head

    def forward(self, activations_NHWC: Tensor) -> Tensor:
        activations_NCHW = activations_NHWC.permute(0, 3, 1, 2).float()
        return cast("Tensor", self.head(self.blocks(activations_NCHW)))


class Front(nn.Module):
    """Normalisation and the frozen blocks: uint8 [N, S, S, 3] to activations [N, H, W, C].

    Attributes:
        depth: how many blocks it holds.
    """

    def __init__(self, features: FeatureNet, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.normalise = features.normalise
        self.blocks = nn.Sequential(*blocks)
        self.depth = len(blocks)

    def forward(self, images_NHWC: Tensor) -> Tensor:
        activations_NCHW = self.blocks(self.normalise(images_NHWC))
        return cast("Tensor", activations_NCHW.permute(0, 2, 3, 1))


def cut(network: DogNet, name: str, size_px: int) -> tuple[Front, Tail]:
    """Cut a network before the blocks that compute at its coarsest resolution.

    Those hold most of its weights, take a part of its time, and are what breeds differ in. For
    EfficientNet-Lite0 they are the last two of seven stages, for ResNet-18 `layer4`, for VGG-16 the
    two wide layers behind the convolutions.

    Args:
        name: of the model, for the error.
        size_px: side of what it is fed.

    Raises:
        UsageError: the network is no plain sequence of blocks.
    """
    blocks = _blocks(network.features.body)
    generator = torch.Generator().manual_seed(0)
    shape = (2, size_px, size_px, 3)
    example = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    place = _place(network.features, blocks, example)
    if place is None:
        raise UsageError(
            f"--layers last cannot cut model {name}, which is no plain row of blocks: leave it out"
        )
    return Front(network.features, blocks[:place]).eval(), Tail(blocks[place:], network.breed_head)


def _blocks(body: nn.Module) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for child in body.children():
        blocks.extend(child if isinstance(child, nn.Sequential) else [child])
    return blocks


def _place(features: FeatureNet, blocks: Sequence[nn.Module], images: Tensor) -> int | None:
    """Return the number of the first block to train, None if blocks in a row are another net."""
    sides: list[int] = []
    with torch.inference_mode():
        values = features.normalise(images)
        try:
            for block in blocks:
                values = block(values)
                sides.append(values.shape[-1] if values.ndim == 4 else 0)
        except (RuntimeError, TypeError, ValueError):
            return None
        if not torch.equal(values, features(images)):
            return None
    place = sides.index(min((side for side in sides if side > 1), default=0))
    while place < len(blocks) and not any(True for _ in blocks[place].parameters()):
        place += 1
    return place if 0 < place < len(blocks) else None
