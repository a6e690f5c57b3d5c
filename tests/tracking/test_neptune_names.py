"""Neptune's names become MLflow's: allowed, short enough, and never two of them one."""

from __future__ import annotations

import posixpath
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.tracking.neptune_names import artifact_folder, mlflow_key, model_name, param_text

PATHS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=300)


@given(PATHS)
def test_a_key_is_one_that_mlflow_takes(path: str) -> None:
    key = mlflow_key(path)
    assert re.fullmatch(r"[A-Za-z0-9_\-. /]{1,250}", key)
    assert posixpath.normpath(key) == key
    assert not key.startswith(("/", ".."))


@given(st.lists(PATHS, min_size=2, max_size=6, unique=True))
def test_two_names_never_become_one(paths: list[str]) -> None:
    assert len({mlflow_key(path) for path in paths}) == len(paths)


@pytest.mark.parametrize("path", ["metrics/val_auc", "a b/c.d", "x-y_z"])
def test_an_ordinary_name_stays_as_it_is(path: str) -> None:
    assert mlflow_key(path) == path


def test_a_file_lies_in_the_folder_of_its_name() -> None:
    assert artifact_folder("charts/curve") == "charts"
    assert artifact_folder("curve") == ""
    assert ".." not in artifact_folder("../../etc/passwd")


def test_a_registered_model_has_a_name_of_its_own() -> None:
    assert model_name("my space/dögs", "DOG-EFF") == "neptune-my-space-d-gs-DOG-EFF"


def test_values_become_words() -> None:
    moment = datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert param_text(moment) == "2023-01-02T03:04:05+00:00"
    assert param_text(["b", "a"]) == "a, b"
    assert (param_text(0.001), param_text(True), param_text("x")) == ("0.001", "True", "x")
