"""A home whose model names colours, and a Telegram to rehearse with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bot_processes import add_bundle
from tests.rehearsing import Rehearsal


@pytest.fixture
def home(tmp_path: Path) -> Path:
    add_bundle(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    with Rehearsal() as started:
        yield started
