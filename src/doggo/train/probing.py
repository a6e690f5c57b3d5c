"""The recipe `probe`: embeddings of a frozen body, then the breed head on them.

Owns the joints between the embeddings, the start of the head and its training.

Legend: N photos, K breeds, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from doggo.core.records import Split
from doggo.nets.network import DogNet, set_head, start_rows
from doggo.storage.disk import need_disk
from doggo.tracking.port import Run
from doggo.train.checkpoints import BEST, LAST
from doggo.train.config import TrainConfig
from doggo.train.embedding import Body
from doggo.train.probe import Labelled, ProbeResult, train_probe
from doggo.train.recipe import F32, Clock, Inputs, Outcome


def train_on_embeddings(
    network: DogNet, inputs: Inputs, *, config: TrainConfig, run: Run, clock: Clock
) -> Outcome:
    """Train the breed head in place; see `recipe.Recipe`."""
    need_disk(inputs.work, _kept_bytes(network), "the trained network")
    body = Body(
        name=config.model,
        features=network.features,
        view=inputs.view,
        manifest=inputs.manifest,
        pixels=inputs.pixels,
        cache=inputs.cache,
    )
    features_ND = body.embed(inputs.rows, inputs.pair, progress=inputs.progress)
    clock.lap("embed")
    sides = _sides(inputs, features_ND)
    try:
        probe = _train_head(network, inputs, sides, config=config)
        clock.lap("train")
    finally:  # also of a training that was interrupted
        _keep_checkpoints(inputs.work, run)
    return Outcome(
        curve=probe.curve,
        best=probe.best,
        val_logits_NK=probe.val_logits,
        val_labels_N=sides[Split.VALIDATION].labels,
        train_photos=len(sides[Split.TRAIN].labels),
    )


def class_means(features_ND: F32, labels_N: np.ndarray, n_labels: int) -> F32:
    """Return the mean of each breed's features [K, D]."""
    sums_KD = np.zeros((n_labels, features_ND.shape[1]), np.float32)
    np.add.at(sums_KD, labels_N, features_ND)
    counts_K = np.bincount(labels_N, minlength=n_labels)
    return np.asarray(sums_KD / counts_K[:, None], np.float32)


def _kept_bytes(network: DogNet) -> int:
    """Return the size of the backbone's graph, the candidate and two checkpoints of the head."""
    weights = sum(int(value.nbytes) for value in network.state_dict().values())
    head = sum(int(value.nbytes) for value in network.breed_head.state_dict().values())
    return 2 * weights + 2 * head


def _keep_checkpoints(work: Path, run: Run) -> None:
    """Give the run the head of the best epoch and of the last one."""
    for name in (BEST, LAST):
        if (work / name).is_file():
            run.log_file(work / name, "checkpoints")


def _sides(inputs: Inputs, features_ND: F32) -> dict[Split, Labelled]:
    split_N = np.array([row.split.value for row in inputs.rows])
    return {
        split: Labelled(
            features=np.ascontiguousarray(features_ND[split_N == split.value]),
            labels=inputs.side(split)[1],
        )
        for split in (Split.TRAIN, Split.VALIDATION)
    }


def _train_head(
    network: DogNet, inputs: Inputs, sides: Mapping[Split, Labelled], *, config: TrainConfig
) -> ProbeResult:
    train = sides[Split.TRAIN]
    means_KD = class_means(train.features, train.labels, len(inputs.labels))
    set_head(network, *start_rows(network.imagenet_head, inputs.labels, torch.from_numpy(means_KD)))
    probe = train_probe(
        network.breed_head,
        train,
        sides[Split.VALIDATION],
        config=config,
        work=inputs.work,
        progress=inputs.progress,
    )
    set_head(network, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
    return probe
