"""The recipe `finetune`: the whole network, or its last blocks, trained on the photos.

Owns the joints between photos, the cut of the network, the training and what the run is told.

Legend: N photos, K breeds, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from doggo.core.records import ManifestRow, Split
from doggo.nets.imagenet import breed_classes
from doggo.nets.network import DogNet, features_sha256, set_head, start_rows
from doggo.tracking.port import Metric, Run
from doggo.train.activations import ActivationKey, activations
from doggo.train.charts import draw_batch
from doggo.train.checkpoints import checkpoint_folder, is_done
from doggo.train.compute import choose_compute, keep_freed_memory, stay_within_quota
from doggo.train.config import LAST, TrainConfig
from doggo.train.finetune import answers, finetune
from doggo.train.loaders import Examples, InOrder, Photos, in_batches
from doggo.train.probing import class_means
from doggo.train.recipe import I64, Clock, Inputs, Outcome
from doggo.train.speed import bare_photos_per_s
from doggo.train.student import Student, Whole, cut

_PHOTOS_FOR_MEANS = 32  # a breed
_DRAWN = 32


def train_on_pixels(
    network: DogNet, inputs: Inputs, *, config: TrainConfig, run: Run, clock: Clock
) -> Outcome:
    """Train the network in place; see `recipe.Recipe`.

    Goes on where a process that was killed in the same training stopped.
    """
    compute = choose_compute()
    if compute.accelerator == "cpu":
        keep_freed_memory()
        stay_within_quota()
    run.log_params({"accelerator": compute.accelerator, "precision": compute.precision})
    root = inputs.cache / "finetune"
    with checkpoint_folder(root, _identity(network, inputs, config)) as folder:
        _start_new_breeds(network, inputs)
        student, train, validation = _prepare(network, inputs, config)
        clock.lap("prepare")
        batch = None if is_done(folder) else _show(train, run, config, inputs.work)
        clock.lap("show")
        bare = [bare_photos_per_s(student, batch, compute)] if batch else []
        clock.lap("measure")
        done = finetune(
            student,
            train,
            validation,
            config=config,
            compute=compute,
            folder=folder,
            progress=inputs.progress,
        )
        clock.lap("train")
        # Before and after: what else runs on this machine changes meanwhile.
        bare += [bare_photos_per_s(student, batch, compute)] if batch else []
    clock.lap("measure")
    speeds = [Metric("bare_photos_per_s", speed, step) for step, speed in enumerate(bare)]
    run.log_metrics([*speeds, Metric("photos_per_s", done.photos_per_s)])
    assert config.batch_size is not None
    everything = range(len(validation))
    val_logits_NK = answers(student, validation, everything, compute, config.batch_size)
    network.cpu().eval()
    return Outcome(
        curve=done.curve,
        best=done.best,
        val_logits_NK=val_logits_NK,
        val_labels_N=validation.labels_N,
        train_photos=len(train),
    )


def _identity(network: DogNet, inputs: Inputs, config: TrainConfig) -> dict[str, object]:
    return {
        "config": config.words(),
        "weights": features_sha256(network.features),
        "view": inputs.view.key(),
        "manifest": inputs.manifest.manifest_id,
        "photos": [[row.photo_id, row.breed, row.split] for row in inputs.rows],
        "torch": torch.__version__,
    }


def _start_new_breeds(network: DogNet, inputs: Inputs) -> None:
    """Move the head's rows of breeds that ImageNet lacks towards their photos."""
    if all(label in breed_classes() for label in inputs.labels):
        return
    rows, labels_N = inputs.side(Split.TRAIN)
    few = _few_of_each(labels_N)
    photos = Photos([rows[n] for n in few], labels_N[few], inputs.pixels, inputs.view)
    with torch.inference_mode():
        parts = [
            network.features(images).numpy()
            for images, _ in in_batches(photos, InOrder(range(len(photos)), _DRAWN))
        ]
    means_KD = class_means(np.concatenate(parts), labels_N[few], len(inputs.labels))
    set_head(network, *start_rows(network.imagenet_head, inputs.labels, torch.from_numpy(means_KD)))


def _few_of_each(labels_N: I64) -> I64:
    """Return the indices of the first photos of each breed."""
    order_N = np.argsort(labels_N, kind="stable")
    starts_N = np.searchsorted(labels_N[order_N], labels_N[order_N])
    return order_N[np.arange(len(labels_N)) - starts_N < _PHOTOS_FOR_MEANS]


def _prepare(
    network: DogNet, inputs: Inputs, config: TrainConfig
) -> tuple[Student, Examples, Examples]:
    """Return what is trained, and both sides as what it is fed."""
    sides = [inputs.side(split) for split in (Split.TRAIN, Split.VALIDATION)]
    if config.layers == LAST:
        return _on_activations(network, inputs, config, sides)
    (rows, labels_N), (val_rows, val_labels_N) = sides
    train = Photos(
        rows,
        labels_N,
        inputs.pixels,
        inputs.view,
        seed=config.seed,
        probability=config.trf_prb,
    )
    return Whole(network), train, Photos(val_rows, val_labels_N, inputs.pixels, inputs.view)


def _on_activations(
    network: DogNet,
    inputs: Inputs,
    config: TrainConfig,
    sides: Sequence[tuple[Sequence[ManifestRow], I64]],
) -> tuple[Student, Examples, Examples]:
    front, tail = cut(network, config.model, inputs.view.size_px)
    key = ActivationKey(
        features_sha256=features_sha256(network.features),
        depth=front.depth,
        view=inputs.view,
        decoder=inputs.manifest.decoder,
        step=inputs.manifest.step,
    )
    rows = [row for side, _ in sides for row in side]
    labels_N = np.concatenate([labels for _, labels in sides])
    everything = activations(
        rows,
        labels_N,
        inputs.pixels,
        front,
        key=key,
        cache=inputs.cache / "activations",
        progress=inputs.progress,
    )
    n = len(sides[0][0])
    return tail, everything.part(slice(n)), everything.part(slice(n, None))


def _show(
    train: Examples, run: Run, config: TrainConfig, work: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch as it is trained on; the run gets a picture of it, if it is of photos."""
    assert config.batch_size is not None
    order = np.random.default_rng(config.seed).permutation(len(train)).tolist()
    batches = InOrder(order[: config.batch_size], config.batch_size)
    inputs, labels_N = next(iter(in_batches(train, batches)))
    if config.layers != LAST:
        run.log_file(draw_batch(inputs[:_DRAWN].numpy(), work / "batch.png"), "charts")
    return inputs, labels_N
