"""Training options: defaults of the recipe, refusals, JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.errors import UsageError
from doggo.train.config import TrainConfig


def test_the_probe_brings_its_own_defaults() -> None:
    resolved = TrainConfig().resolved()
    assert (resolved.lr, resolved.batch_size, resolved.weight_decay) == (1e-4, 256, 1e-2)
    assert resolved.resolved() == resolved


def test_what_the_owner_asks_for_is_kept() -> None:
    assert TrainConfig(lr=3e-4, batch_size=32).resolved().lr == 3e-4
    assert TrainConfig(batch_size=32).resolved().batch_size == 32


def test_finetune_brings_those_of_2023() -> None:
    resolved = TrainConfig(recipe="finetune").resolved()
    assert (resolved.optimizer, resolved.lr, resolved.batch_size) == ("sgd", 1e-3, 32)
    assert (resolved.trf_prb, resolved.layers, resolved.devices) == (0.025, "all", 1)
    assert resolved.input_size is None
    assert resolved.resolved() == resolved


def test_each_optimiser_has_its_own_rate() -> None:
    resolved = TrainConfig(recipe="finetune", optimizer="adamw").resolved()
    assert (resolved.lr, resolved.weight_decay) == (2e-5, 1e-2)


def test_the_last_layers_see_no_transformed_photo() -> None:
    resolved = TrainConfig(recipe="finetune", layers="last").resolved()
    assert (resolved.trf_prb, resolved.devices) == (None, None)
    assert resolved.resolved() == resolved


@pytest.mark.parametrize("option", [{"trf_prb": 0.1}, {"devices": 2}])
def test_an_option_that_the_last_layers_cannot_honour_is_refused(option: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="--layers last cannot use"):
        TrainConfig(recipe="finetune", layers="last", **option)  # type: ignore[arg-type]


def test_devices_need_a_photo_each_in_a_batch() -> None:
    with pytest.raises(UsageError, match="--batch-size"):
        TrainConfig(recipe="finetune", devices=4, batch_size=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("input_size", 224), ("trf_prb", 0.025), ("optimizer", "sgd"), ("layers", "all"),
        ("devices", 1),
    ],
)  # fmt: skip
def test_an_option_that_the_probe_cannot_honour_is_refused(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"cannot use --{option.replace('_', '-')}"):
        TrainConfig.from_json({option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lr", 0.0), ("lr", -1.0), ("lr", float("nan")), ("lr", float("inf")),
        ("batch_size", 0), ("patience", 0), ("max_epochs", -1), ("n_labels", 1),
        ("n_samples", 0), ("weight_decay", -0.1), ("weight_decay", float("nan")),
        ("seed", -1), ("seed", 2**32), ("recipe", "magic"), ("optimizer", "magic"),
        ("layers", "first"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(option: str, value: float | str) -> None:
    with pytest.raises(UsageError, match=option.replace("_", "-")):
        TrainConfig.from_json({option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("trf_prb", -0.1), ("trf_prb", 1.1), ("input_size", 31), ("devices", 0)],
)
def test_a_value_out_of_the_range_of_finetune_is_refused(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=option.replace("_", "-")):
        TrainConfig.from_json({"recipe": "finetune", option: value})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"learning_rate": 1.0}, "unknown training option 'learning_rate'"),
        ({"lr": "fast"}, "training option lr cannot be 'fast'"),
        ({"patience": 2.5}, "training option patience cannot be 2.5"),
        ({"seed": True}, "training option seed cannot be True"),
    ],
)
def test_unknown_or_wrong_options_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainConfig.from_json(values)


@given(
    lr=st.none() | st.floats(1e-8, 10),
    batch_size=st.none() | st.integers(1, 4096),
    seed=st.integers(0, 2**32 - 1),
    n_labels=st.none() | st.integers(2, 200),
)
def test_json_brings_every_option_back(
    lr: float | None, batch_size: int | None, seed: int, n_labels: int | None
) -> None:
    config = TrainConfig(lr=lr, batch_size=batch_size, seed=seed, n_labels=n_labels)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_words_leave_out_what_is_not_set() -> None:
    words = TrainConfig().resolved().words()
    assert words["lr"] == "0.0001"
    assert "trf_prb" not in words
    assert "n_labels" not in words
