"""The options of a training run, and the defaults that belong to each recipe.

Owns which options exist, which of them a recipe can honour, and their JSON. Knows nothing of
networks or of how a recipe trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from doggo.core.errors import UsageError

PROBE: Final = "probe"
FINETUNE: Final = "finetune"
SGD: Final = "sgd"
ADAMW: Final = "adamw"
ALL: Final = "all"
LAST: Final = "last"
LARGEST_LR: Final = 10.0

_CHOICES: Final = {
    "recipe": (PROBE, FINETUNE),
    "optimizer": (SGD, ADAMW),
    "layers": (ALL, LAST),
}

_PROBE_DEFAULTS: Final = {"lr": 1e-4, "batch_size": 256, "weight_decay": 1e-2}
"""AdamW on embeddings. A batch of 256 is as good as one of 32 (validation top-1 within 0.2
points over three splits of 7,200 photos, November 2026) and three times as fast; a rate of
1e-3 loses three points on photos of another origin."""

_FINETUNE_DEFAULTS: Final = {"optimizer": SGD, "layers": ALL, "batch_size": 32, "devices": 1}
"""Those of 2023's doggo; see docs/decisions/0012."""

_OPTIMIZER_DEFAULTS: Final = {
    SGD: {"lr": 1e-3, "weight_decay": 0.0},
    ADAMW: {"lr": 2e-5, "weight_decay": 1e-2},
}
_TRF_PRB: Final = 0.025

_NOT_FOR_PROBE: Final = {
    "input_size": "it sees each photo once, at the size its network was trained on",
    "trf_prb": "it trains on embeddings, which cannot be transformed like photos",
    "optimizer": "its head is always trained with adamw",
    "layers": "it trains the head alone",
    "devices": "its epochs take a tenth of a second",
}

_NOT_FOR_LAST: Final = {
    "trf_prb": "the front part sees each photo once, as it is",
    "devices": "what it trains is small enough for one",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """What the owner asked for; None means the recipe's default.

    Attributes:
        model: backbone, see `nets.backbones`.
        recipe: how to train; `probe` trains the breed head on embeddings, `finetune` the network.
        lr: learning rate, above 0 and at most `LARGEST_LR`.
        batch_size: photos a step.
        weight_decay: of the optimiser, >= 0.
        patience: epochs without a better validation macro AUROC before it stops.
        max_epochs: 0 keeps the network as it starts.
        seed: of the order of photos and of an experiment's sample.
        n_labels, n_samples: an experiment's breeds, and photos a breed at most; None: all.
        input_size: side of the square in pixels; None: the network's own.
        trf_prb: probability of each transformation of a training photo, 0 to 1.
        optimizer: `sgd` or `adamw`.
        layers: `all` of the network is trained, or the `last` blocks.
        devices: processes (one a GPU) that share each batch.

    Raises:
        UsageError: a value is out of range, or the recipe is unknown or cannot honour it.
    """

    model: str = "efficientnet_lite0"
    recipe: str = PROBE
    lr: float | None = None
    batch_size: int | None = None
    weight_decay: float | None = None
    patience: int = 5
    max_epochs: int = 64
    seed: int = 42
    n_labels: int | None = None
    n_samples: int | None = None
    input_size: int | None = None
    trf_prb: float | None = None
    optimizer: str | None = None
    layers: str | None = None
    devices: int | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"unknown {name} {value!r}: use {' or '.join(choices)}")
        self._check_honoured()
        _at_least("batch-size", self.batch_size, 1)
        _at_least("patience", self.patience, 1)
        _at_least("max-epochs", self.max_epochs, 0)
        _at_least("n-labels", self.n_labels, 2)
        _at_least("n-samples", self.n_samples, 1)
        _at_least("weight-decay", self.weight_decay, 0)
        _at_least("input-size", self.input_size, 32)
        _at_least("devices", self.devices, 1)
        if self.trf_prb is not None and not 0 <= self.trf_prb <= 1:
            raise UsageError(f"--trf-prb is a probability from 0 to 1, not {self.trf_prb}")
        if self.lr is not None and not 0 < self.lr <= LARGEST_LR:
            raise UsageError(f"--lr must be above 0 and at most {LARGEST_LR}, not {self.lr}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed must be from 0 to {2**32 - 1}, not {self.seed}")

    def _check_honoured(self) -> None:
        refused = [(f"recipe {PROBE}", _NOT_FOR_PROBE)] if self.recipe == PROBE else []
        if self.layers == LAST:
            refused.append((f"--layers {LAST}", _NOT_FOR_LAST))
        for who, options in refused:
            for name, why in options.items():
                if getattr(self, name) is not None:
                    option = name.replace("_", "-")
                    raise UsageError(f"{who} cannot use --{option}: {why}; leave it out")
        if (self.devices or 1) > (self.batch_size or _FINETUNE_DEFAULTS["batch_size"]):  # type: ignore[operator]
            raise UsageError("--devices share a batch: give a --batch-size as large at least")

    def resolved(self) -> TrainConfig:
        """Return the same with the recipe's defaults filled in."""
        defaults: dict[str, object] = dict(_PROBE_DEFAULTS)
        if self.recipe == FINETUNE:
            defaults = {**_FINETUNE_DEFAULTS, **_OPTIMIZER_DEFAULTS[self.optimizer or SGD]}
            if self.layers == LAST:
                del defaults["devices"]
            else:
                defaults["trf_prb"] = _TRF_PRB
        missing = {key: v for key, v in defaults.items() if getattr(self, key) is None}
        return replace(self, **missing)  # type: ignore[arg-type]  # the keys are fields

    def to_json(self) -> dict[str, str | int | float | None]:
        """Return the options as plain JSON values."""
        return asdict(self)

    def words(self) -> dict[str, str]:
        """Return the options that are set, as words for a tracker or a bundle."""
        return {key: str(value) for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> TrainConfig:
        """Return the options of `to_json`; missing ones take their defaults.

        Raises:
            UsageError: an option is unknown or has a value of the wrong kind.
        """
        kinds: dict[str, type | tuple[type, ...]] = {
            **dict.fromkeys(("model", *_CHOICES), str),
            **dict.fromkeys(("lr", "weight_decay", "trf_prb"), (int, float)),
        }
        names = [field.name for field in fields(cls)]
        for name, value in values.items():
            if name not in names:
                raise UsageError(f"unknown training option {name!r}: use {', '.join(names)}")
            kind = kinds.get(name, int)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
                raise UsageError(f"training option {name} cannot be {value!r}")
        return cls(**values)  # type: ignore[arg-type]  # checked above


def _at_least(option: str, value: float | None, least: int) -> None:
    if value is not None and not least <= value < float("inf"):
        raise UsageError(f"--{option} must be {least} or more, not {value}")
