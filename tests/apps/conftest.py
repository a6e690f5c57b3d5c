"""A home that one real `doggo run` over drawn pictures has furnished."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.commands import run_doggo

from doggo.apps.drawn import write_drawn

BREEDS, PICTURES = 5, 14


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five drawn breeds of fourteen pictures each."""
    folder = tmp_path_factory.mktemp("drawn")
    list(write_drawn(folder, breeds=BREEDS, pictures=PICTURES))
    return folder


@pytest.fixture(scope="session")
def finished_run(
    drawn_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A home after `doggo run`, and what the run printed."""
    home = tmp_path_factory.mktemp("run") / "home"
    done = run_doggo(home, "run", drawn_folder, "--json")
    assert done.code == 0, done.err
    return home, done.json()


@pytest.fixture
def home(finished_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of the furnished home that a test may change."""
    copy = tmp_path / "home"
    shutil.copytree(finished_run[0], copy)
    return copy
