"""Training on pixels or activations, with Lightning: checkpoints, going on, which epoch wins.

Owns one training from its start to its end. Knows nothing of datasets, trackers or how a network
was cut: it takes a student and examples, and gives the student the winner's weights.

As with the probe, the winner is the epoch with the highest macro AUROC over the whole validation
set, among those whose top-1 is not below that of epoch 0, which is the student untouched.

Legend: N photos, K breeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from numpy.typing import NDArray
from torch import nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from doggo.core.errors import InputError
from doggo.core.progress import Progress, silent
from doggo.train.checkpoints import (
    BEST,
    DONE,
    LAST,
    WholeFiles,
    curve_of,
    is_done,
    kept_epochs,
    load,
    plain,
    save,
)
from doggo.train.compute import Compute
from doggo.train.config import TrainConfig
from doggo.train.curve import AUROC, Epoch, best_epoch, next_epoch
from doggo.train.learner import Learner
from doggo.train.loaders import Examples, InOrder, in_batches
from doggo.train.relay import relayed
from doggo.train.student import Student
from doggo.train.surroundings import interruptible, quiet_lightning

F32 = NDArray[np.float32]

LARGEST_GRADIENT = 1.0  # norm to which gradients are clipped


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetuned:
    """How a fine-tune went.

    Attributes:
        photos_per_s: of the training steps in this process's lifetime; 0 if all was done before.
    """

    curve: tuple[Epoch, ...]
    best: Epoch
    photos_per_s: float


def finetune(
    student: Student,
    train: Examples,
    validation: Examples,
    *,
    config: TrainConfig,
    compute: Compute,
    folder: Path,
    progress: Progress = silent,
) -> Finetuned:
    """Give `student` the best weights found from where it starts.

    What an earlier call with the same arguments left in `folder` is gone on from: it loses the
    epoch in which it was killed. The same seed gives the same bytes on a processor with as many
    cores, killed or not; on a GPU and with several devices the same up to rounding.

    Args:
        config: resolved.
        folder: for checkpoints.

    Raises:
        InputError: the training diverged.
        StorageError: a checkpoint cannot be written.
        KeyboardInterrupt: `folder` holds the last whole epoch.
    """
    if is_done(folder):
        return _finished(student, load(folder / DONE))
    start = {key: value.detach().clone() for key, value in student.state_dict().items()}
    resumes = (folder / LAST).is_file()
    if resumes:
        curve = curve_of(load(folder / LAST))
    else:
        curve = [_epoch_0(student, train, validation, config, compute)]
    speed = 0.0
    if config.max_epochs > 0:
        module = Learner(student, train, validation, config, compute, curve)
        _fit(module, folder, resumes=resumes, progress=progress)
        last = load(folder / LAST)
        curve, speed = curve_of(last), last["photos_per_s"]
    if best_epoch(curve).number:
        state = load(folder / BEST)["state_dict"]
        start = {key.removeprefix("student."): value for key, value in state.items()}
    done = {"state_dict": start, "curve": plain(curve), "photos_per_s": speed}
    save(done, folder / DONE)
    for name in (BEST, LAST):
        (folder / name).unlink(missing_ok=True)
    return _finished(student, done)


def answers(
    student: Student, examples: Examples, indices: Sequence[int], compute: Compute, size: int
) -> F32:
    """Return the logits [n, K] of a student in float32, as it will serve."""
    student.to(compute.device).eval()
    with torch.inference_mode():
        parts = [
            student(inputs.to(compute.device)).float().cpu().numpy()
            for inputs, _ in in_batches(examples, InOrder(indices, size))
        ]
    return np.concatenate(parts)


def _finished(student: Student, done: Mapping[str, Any]) -> Finetuned:
    student.cpu().load_state_dict(done["state_dict"])
    student.eval()
    curve = curve_of(done)
    return Finetuned(curve=tuple(curve), best=best_epoch(curve), photos_per_s=done["photos_per_s"])


def _epoch_0(
    student: Student,
    train: Examples,
    validation: Examples,
    config: TrainConfig,
    compute: Compute,
) -> Epoch:
    """Measure before training: all of validation, and as many random photos to train on."""
    assert config.batch_size is not None
    n = min(len(train), len(validation))
    some = np.random.default_rng(config.seed).permutation(len(train))[:n].tolist()
    seen_NK = torch.from_numpy(answers(student, train, some, compute, config.batch_size))
    right_N = torch.from_numpy(train.labels_N[some])
    everything = range(len(validation))
    val_NK = torch.from_numpy(answers(student, validation, everything, compute, config.batch_size))
    return next_epoch(
        [],
        val_NK.softmax(dim=1).numpy(),
        validation.labels_N,
        train_loss=float(nn.functional.cross_entropy(seen_NK, right_N)),
        train_top1=float((seen_NK.argmax(dim=1) == right_N).float().mean()),
    )


def _fit(module: Learner, folder: Path, *, resumes: bool, progress: Progress) -> None:
    config, compute = module.config, module.compute
    module.student.cpu()  # where it was measured; Lightning moves it, and other processes copy it
    devices = config.devices or 1
    stop = EarlyStopping(monitor=AUROC, mode="max", patience=config.patience)
    with ExitStack() as around:
        around.enter_context(quiet_lightning())
        around.enter_context(torch.random.fork_rng(devices=[]))
        around.enter_context(interruptible())
        module.progress = around.enter_context(relayed(progress)) if devices > 1 else progress
        trainer = Trainer(
            accelerator=compute.accelerator,
            precision=compute.precision,
            devices=devices,
            strategy="ddp_spawn" if devices > 1 else "auto",
            max_epochs=config.max_epochs,
            gradient_clip_val=LARGEST_GRADIENT,
            callbacks=[stop, *kept_epochs(folder)],
            plugins=[WholeFiles()],
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
        try:
            trainer.fit(module, ckpt_path=folder / LAST if resumes else None, weights_only=True)
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise InputError(
                f"a training process failed: {str(error).strip().splitlines()[-1]}"
            ) from error
