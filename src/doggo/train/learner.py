"""The loop of a fine-tune as a LightningModule: steps, figures by epoch, several processes.

Owns what happens to a batch and to an epoch. Knows nothing of checkpoint files or of which epoch
is kept.

Legend: N photos, K breeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from doggo.core.progress import Progress, silent
from doggo.train.checkpoints import plain
from doggo.train.compute import Compute, keep_freed_memory
from doggo.train.config import TrainConfig
from doggo.train.curve import AUROC, SELECTION, Epoch, next_epoch
from doggo.train.loaders import (
    Example,
    Examples,
    InOrder,
    Share,
    Shuffled,
    gather,
    in_batches,
    loading_workers,
)
from doggo.train.optimizers import optimizers
from doggo.train.speed import Pace
from doggo.train.student import Student
from doggo.train.surroundings import hush

F32 = NDArray[np.float32]


class Learner(LightningModule):  # type: ignore[misc]  # Lightning's types are not followed
    """Cross-entropy on a student; every process of several knows all answers."""

    progress: Progress = staticmethod(silent)

    def __init__(
        self,
        student: Student,
        train: Examples,
        validation: Examples,
        config: TrainConfig,
        compute: Compute,
        curve: Sequence[Epoch],
    ) -> None:
        super().__init__()
        self.student = student
        self.config, self.compute = config, compute
        self.curve = list(curve)
        self.examples, self.validation = train, validation
        self._pace = Pace()
        self._loss_sum, self._hits, self._seen = 0.0, 0, 0
        self._answers: list[F32] = []

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A process that was started for another device begins here.
        super().__setstate__(state)
        hush()
        if self.compute.accelerator == "cpu":
            keep_freed_memory()

    def configure_model(self) -> None:
        if self.compute.accelerator == "gpu":
            self.student.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> dict[str, Any]:
        return optimizers(self.student, self.config, self._steps)

    def train_dataloader(self) -> DataLoader[Example]:
        assert self.config.batch_size is not None
        batches = Shuffled(
            len(self.examples), self.config.batch_size, self.config.seed, self._share
        )
        return in_batches(self.examples, batches, workers=self._workers)

    def val_dataloader(self) -> DataLoader[Example]:
        assert self.config.batch_size is not None
        batches = InOrder(range(len(self.validation)), self.config.batch_size, self._share)
        return in_batches(self.validation, batches, workers=self._workers)

    def on_train_epoch_start(self) -> None:
        # Whatever in the network draws must draw the same when the run goes on after a kill.
        torch.manual_seed(self.config.seed + self.current_epoch)
        self._loss_sum, self._hits, self._seen = 0.0, 0, 0
        self._pace.begin_epoch()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        inputs, labels_N = batch
        logits_NK = self.student(inputs)
        loss = nn.functional.cross_entropy(logits_NK, labels_N)
        self._loss_sum += float(loss.detach()) * len(labels_N)
        self._hits += int((logits_NK.detach().argmax(dim=1) == labels_N).sum())
        self._seen += len(labels_N)
        return loss

    def on_train_batch_end(self, _: object, batch: tuple[Tensor, Tensor], __: int) -> None:
        self._pace.count(len(batch[1]) * self._share.of)
        if self.trainer.is_global_zero:
            self.progress("train", self.trainer.global_step, self._steps)

    def on_validation_epoch_start(self) -> None:
        self._pace.end_epoch()
        self._answers = []

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        # In float32, as it will serve, whatever the training steps are computed in.
        with torch.autocast(self.compute.device.type, enabled=False):
            self._answers.append(self.student(batch[0]).float().cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        mine = (np.concatenate(self._answers), self._loss_sum, self._hits, self._seen)
        parts = [mine]
        if self._share.of > 1:
            parts = [mine] * self._share.of
            torch.distributed.all_gather_object(parts, mine)
        logits_of_ranks, loss_sums, hits, seen = zip(*parts, strict=True)
        logits_NK = torch.from_numpy(gather(logits_of_ranks, len(self.validation)))
        epoch = next_epoch(
            self.curve,
            logits_NK.softmax(dim=1).numpy(),
            self.validation.labels_N,
            train_loss=sum(loss_sums) / sum(seen),
            train_top1=sum(hits) / sum(seen),
        )
        self.curve.append(epoch)
        self.log_dict({AUROC: epoch.val_macro_auroc, SELECTION: epoch.selection}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["curve"] = plain(self.curve)
        checkpoint["photos_per_s"] = self._pace.photos_per_s

    @property
    def _share(self) -> Share:
        return Share(rank=self.trainer.global_rank, of=self.trainer.world_size)

    @property
    def _steps(self) -> int:
        assert self.config.batch_size is not None
        whole = Shuffled(len(self.examples), self.config.batch_size, 0, self._share)
        return len(whole) * self.config.max_epochs

    @property
    def _workers(self) -> int:
        gpu = self.compute.accelerator == "gpu"
        return loading_workers(gpu=gpu, devices=self.config.devices or 1)
