"""A tiny real network in a folder of weights, and fine-tunes of it that take seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from tests.train.datasets import U8, Drawn, manifest

from doggo.core.progress import Progress, silent
from doggo.core.records import ManifestRow
from doggo.tracking.null import NullTracker
from doggo.train.config import TrainConfig
from doggo.train.run import ExperimentResult, experiment

NAME = "test_efficientnet.r160_in1k"
BREEDS = ("beagle", "pug", "stripes", "waves")
DATA = manifest(BREEDS, train=8, validation=4, test=2)
CPU = "onnxruntime-f32"


def tiny_weights(folder: Path) -> Path:
    """Write random weights for `NAME` and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = timm.create_model(NAME, pretrained=False)
    save_file(dict(model.state_dict()), folder / f"{NAME}.safetensors")
    return folder


def options(**changed: object) -> TrainConfig:
    """Return the options of a run of three epochs of four steps."""
    given = {"lr": 1e-2, "max_epochs": 3, "batch_size": 8, "trf_prb": 0.3, **changed}
    if given.get("layers") == "last":
        del given["trf_prb"]
    return TrainConfig.from_json({"model": NAME, "recipe": "finetune", "input_size": 64, **given})


class Small(Drawn):
    """Drawn once, and small: drawing takes longer than training."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, U8] = {}

    def image(self, row: ManifestRow) -> U8:
        if row.photo_id not in self._kept:
            self._kept[row.photo_id] = np.ascontiguousarray(super().image(row)[:96, :112])
        return self._kept[row.photo_id]


@dataclass
class Trial:
    """One home in which the same fine-tune may be run again and again."""

    home: Path
    tracker: NullTracker = field(default_factory=NullTracker)
    pixels: Small = field(default_factory=Small)

    def run(self, config: TrainConfig, progress: Progress = silent) -> ExperimentResult:
        return experiment(
            config, DATA, pixels=self.pixels, cache=self.home / "cache", tracker=self.tracker,
            runtime=CPU, weights=tiny_weights(self.home / "weights"), progress=progress,
        )  # fmt: skip

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the trained part's weights as the finished run left them."""
        (file,) = (self.home / "cache" / "finetune").glob("*/done.ckpt")
        state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["state_dict"]
        return state

    def curve(self) -> dict[str, list[float]]:
        """Return the figures by epoch that the last run told its tracker."""
        told: dict[str, list[float]] = {}
        for metric in self.tracker.runs[-1].metrics:
            told.setdefault(metric.name, []).append(metric.value)
        names = ("train_loss", "train_top1", "val_loss", "val_top1", "val_macro_auroc")
        return {name: told[name] for name in names}
