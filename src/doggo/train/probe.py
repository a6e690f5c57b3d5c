"""The probe: a linear head trained on embeddings, with Lightning.

Owns the training loop, its checkpoints and which epoch wins. Knows nothing of photos, datasets
or trackers: it takes arrays and gives back a head and its curve.

The winner is the epoch with the highest macro AUROC over the whole validation set, among those
whose top-1 is not below that of the head it started from. Epoch 0 is that head, untouched: so
training never ends below where it began.

Legend: N photos, K breeds, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from numpy.typing import NDArray
from torch import Tensor, nn

from doggo.core.progress import Progress, silent
from doggo.train.checkpoints import BEST, LAST, WholeFiles, kept_epochs, load, save
from doggo.train.config import TrainConfig
from doggo.train.curve import AUROC, SELECTION, Epoch, best_epoch, next_epoch
from doggo.train.surroundings import interruptible, one_thread, quiet_lightning

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Embeddings `features` [N, D] and the index of each photo's breed, `labels` [N]."""

    features: F32
    labels: I64


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """A trained head and how it came about.

    Attributes:
        weight, bias: [K, D] and [K], of the winning epoch.
        val_logits: what it answers on validation, [N, K].
    """

    weight: F32
    bias: F32
    curve: tuple[Epoch, ...]
    best: Epoch
    val_logits: F32


def train_probe(
    start: nn.Linear,
    train: Labelled,
    validation: Labelled,
    *,
    config: TrainConfig,
    work: Path,
    progress: Progress = silent,
) -> ProbeResult:
    """Return the best head found from `start`, which is not changed.

    The same seed and arrays give the same bytes on machines of the same kind, however many
    cores they have.

    Args:
        config: resolved.
        work: folder for `best.ckpt` and `last.ckpt`, which hold the head of the epoch that wins and
            of the last one; nothing goes on from them.

    Raises:
        InputError: the training diverged.
        StorageError: the disk refuses a checkpoint.
        KeyboardInterrupt: after `last.ckpt` of the last whole epoch was written.
    """
    module = _Probe(start, train, validation, config, progress)
    with one_thread():
        module.measure_start()
    stop = EarlyStopping(monitor=AUROC, mode="max", patience=config.patience)
    for name in (BEST, LAST):
        (work / name).unlink(missing_ok=True)
    with quiet_lightning(), interruptible(), one_thread():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=config.max_epochs,
            callbacks=[stop, *kept_epochs(work, weights_only=True)],
            plugins=[WholeFiles()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=work,
        )
        trainer.fit(module)
    return _result(module, work)


def _result(module: _Probe, work: Path) -> ProbeResult:
    best = best_epoch(module.curve)
    if best.number > 0:
        module.load_state_dict(load(work / BEST)["state_dict"])
    else:
        module.restore_start()
        _save_start(module, work)
    with torch.no_grad():
        logits_NK = module.head(module.validation_x).numpy()
    return ProbeResult(
        weight=module.head.weight.detach().numpy().copy(),
        bias=module.head.bias.detach().numpy().copy(),
        curve=tuple(module.curve),
        best=best,
        val_logits=logits_NK,
    )


def _save_start(module: _Probe, work: Path) -> None:
    """Write the head that nothing improved on as `best.ckpt`, in the shape of the others."""
    start = {"epoch": 0, "state_dict": module.state_dict()}
    save(start, work / BEST)
    if not (work / LAST).exists():
        save(start, work / LAST)


class _Batches:
    """The training set in batches, in an order that depends on seed and epoch alone."""

    def __init__(self, features_ND: Tensor, labels_N: Tensor, config: TrainConfig) -> None:
        assert config.batch_size is not None
        self._features_ND, self._labels_N = features_ND, labels_N
        self._size = config.batch_size
        self._generator = torch.Generator().manual_seed(config.seed)

    def __len__(self) -> int:
        return math.ceil(len(self._labels_N) / self._size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order_N = torch.randperm(len(self._labels_N), generator=self._generator)
        for chosen in torch.split(order_N, self._size):
            yield self._features_ND[chosen], self._labels_N[chosen]


class _Probe(LightningModule):  # type: ignore[misc]  # Lightning's types are not followed
    """Cross-entropy and AdamW on the head; one validation batch holds the whole set."""

    def __init__(
        self,
        start: nn.Linear,
        train: Labelled,
        validation: Labelled,
        config: TrainConfig,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.head = nn.Linear(start.in_features, start.out_features)
        self._start = {key: value.detach().clone() for key, value in start.state_dict().items()}
        self.restore_start()
        self.config = config
        self.curve: list[Epoch] = []
        self.train_x = torch.from_numpy(train.features)
        self.train_y = torch.from_numpy(train.labels)
        self.validation_x = torch.from_numpy(validation.features)
        self.validation_y = validation.labels
        self._loss_sum, self._hits = 0.0, 0
        self._progress = progress

    def restore_start(self) -> None:
        """Put the head back to where it began."""
        self.head.load_state_dict(self._start)

    def measure_start(self) -> None:
        """Add epoch 0 to the curve."""
        with torch.no_grad():
            self._count(self.head(self.train_x), self.train_y)
            self._add_epoch()

    def train_dataloader(self) -> _Batches:
        return _Batches(self.train_x, self.train_y, self.config)

    def val_dataloader(self) -> list[int]:
        return [0]  # the set itself is in memory; one batch, so that figures are over all of it

    def on_train_epoch_start(self) -> None:
        self._loss_sum, self._hits = 0.0, 0

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return self._count(self.head(batch[0]), batch[1])

    def validation_step(self, _: object, __: int) -> None:
        epoch = self._add_epoch()
        self.log_dict({AUROC: epoch.val_macro_auroc, SELECTION: epoch.selection}, batch_size=1)
        self._progress("train", epoch.number, self.config.max_epochs)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        assert config.lr is not None
        assert config.weight_decay is not None
        return torch.optim.AdamW(
            self.head.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )

    def _count(self, logits_NK: Tensor, labels_N: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(logits_NK, labels_N)
        self._loss_sum += float(loss.detach()) * len(labels_N)
        self._hits += int((logits_NK.detach().argmax(dim=1) == labels_N).sum())
        return loss

    def _add_epoch(self) -> Epoch:
        probabilities_NK = torch.softmax(self.head(self.validation_x), dim=1).detach().numpy()
        epoch = next_epoch(
            self.curve,
            probabilities_NK,
            self.validation_y,
            train_loss=self._loss_sum / len(self.train_y),
            train_top1=self._hits / len(self.train_y),
        )
        self.curve.append(epoch)
        return epoch
