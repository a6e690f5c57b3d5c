"""Which points a grid has: words in, points out."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.errors import UsageError
from doggo.train.config import TrainConfig
from doggo.train.grid import Point, check_values, option, parse_axes, span

KNOWN = ("model", "lr", "batch_size", "recipe", "trf_prb", "n_labels", "n_samples", "seed", "json")


def test_every_combination_is_one_point_and_the_last_axis_changes_fastest() -> None:
    axes = parse_axes(["model=a,b", "lr=1e-4,1e-3"], KNOWN)
    points = span(axes, {"seed": 7})
    assert [tuple(point.varied.values()) for point in points] == [
        ("a", 1e-4), ("a", 1e-3), ("b", 1e-4), ("b", 1e-3),
    ]  # fmt: skip
    assert all(point.options["seed"] == 7 for point in points)


def test_values_take_the_kind_that_the_option_has() -> None:
    axes = parse_axes(["--batch-size = 16, 32", "lr=1,2e-3", "model=resnet18.tv_in1k"], KNOWN)
    assert axes == {"batch_size": (16, 32), "lr": (1.0, 2e-3), "model": ("resnet18.tv_in1k",)}
    assert isinstance(axes["lr"][0], float)


def test_a_value_written_twice_is_one_point() -> None:
    assert parse_axes(["lr=1e-4,0.0001,1e-3"], KNOWN) == {"lr": (1e-4, 1e-3)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lr"], "write option=value,value"),
        (["lr="], "write option=value,value"),
        (["lr=,"], "write option=value,value"),
        (["lr=fast"], "'fast' is no value"),
        (["batch-size=1.5"], "'1.5' is no value"),
        (["speed=1,2"], "cannot vary 'speed': use model, recipe, lr, batch-size, trf-prb"),
        (["weight_decay=0.1"], "cannot vary 'weight_decay'"),
        (["json=1"], "cannot vary 'json'"),
        (["seed=1,2"], "cannot vary seed: it chooses the photos"),
        (["n-labels=5,10"], "cannot vary n-labels"),
        (["lr=1e-4", "lr=1e-3"], "given twice"),
    ],
)
def test_what_cannot_be_varied_is_a_usage_error(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_axes(words, KNOWN)


@given(
    st.floats(min_value=1e-8, max_value=10, exclude_min=True),
    st.integers(min_value=1, max_value=10**6),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).map(str.strip),
)
def test_the_command_of_a_point_says_its_options_exactly(lr: float, size: int, name: str) -> None:
    options = {"model": name, "lr": lr, "batch_size": size}
    words = shlex.split(Point(varied={}, options=options).command)
    assert words[:2] == ["doggo", "experiment"]
    said = dict(zip(words[2::2], words[3::2], strict=True))
    assert said.keys() == {f"--{option(key)}" for key in options}
    assert (said["--model"], float(said["--lr"]), int(said["--batch-size"])) == (name, lr, size)


def test_the_command_of_a_switch_is_the_switch() -> None:
    assert Point(varied={}, options={"mixed": True}).command == "doggo experiment --mixed"
    assert Point(varied={}, options={"mixed": False}).command == "doggo experiment --no-mixed"


def test_every_option_of_a_run_can_be_varied_but_those_that_choose_the_photos() -> None:
    values = {name: value for name, value in TrainConfig().resolved().to_json().items() if value}
    free = [name for name in values if name not in {"seed", "n_labels", "n_samples"}]
    axes = parse_axes([f"{name}={values[name]}" for name in free], tuple(values))
    (point,) = span(axes, {})
    assert TrainConfig.from_json(point.options).resolved() == TrainConfig().resolved()


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["lr=1e-3,-1"], {}, r"--grid lr=-1.0: --lr must be above 0"),
        (["recipe=probe,magic"], {}, "--grid recipe=magic: unknown recipe 'magic'"),
        (
            ["recipe=finetune,probe"],
            {"trf_prb": 0.1},
            "--grid recipe=probe: .* cannot use --trf-prb",
        ),
    ],
)
def test_a_value_with_which_no_point_can_be_run_is_refused(
    words: list[str], options: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_values(parse_axes(words, KNOWN), options)


def test_a_value_that_fits_some_of_the_others_is_not_refused() -> None:
    check_values({"batch_size": (2, 32), "devices": (1, 4)}, {"recipe": "finetune"})
