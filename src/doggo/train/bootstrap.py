"""A model before any training: ImageNet's head, restricted to the breeds that it knows."""

from __future__ import annotations

from pathlib import Path

from doggo.nets.backbones import backbone
from doggo.nets.candidate import CandidateInfo, save_candidate
from doggo.nets.imagenet import breed_classes
from doggo.nets.network import make_network
from doggo.train.provenance import git_revision

RECIPE = "bootstrap"
_SHORT_SIDE_PX = 256


def bootstrap_candidate(
    model: str, out: Path, *, short_side_px: int | None = None, weights: Path | None = None
) -> Path:
    """Write a candidate for the 120 Stanford breeds into `out` and return it.

    Args:
        short_side_px: S of the canonical pixels it is fed; None: the usual 256, or more where
            the backbone needs it.
        weights: folder of downloaded weights.

    Raises:
        UsageError: the backbone is unknown or needs more pixels than `short_side_px`.
        WeightsError: its weights are not here.
    """
    labels = tuple(breed_classes())
    spec = backbone(model)
    view = spec.view(short_side_px or max(_SHORT_SIDE_PX, spec.resize_px))
    network, weights_sha256 = make_network(model, labels, weights=weights)
    info = CandidateInfo(
        backbone=model,
        labels=labels,
        view=view,
        recipe=RECIPE,
        config={"model": model, "recipe": RECIPE},
        manifest_id=None,
        run_id=None,
        weights_sha256=weights_sha256,
        seed=0,
        git_revision=git_revision(),
    )
    return save_candidate(out, info, network)
