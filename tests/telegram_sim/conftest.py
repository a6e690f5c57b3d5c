"""Fixtures of the simulator's tests: a running one, the machine-readable API, a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.simulating import Simulating

API = Path(__file__).resolve().parents[3] / "shared" / "telegram" / "api.json"


@pytest.fixture
def sim() -> Iterator[Simulating]:
    """A simulator of its own for each test; retries come a hundred times sooner."""
    with Simulating(retry_factor=0.01, enforce_limits=False) as simulating:
        yield simulating


@pytest.fixture(scope="module")
def lasting_sim() -> Iterator[Simulating]:
    """A simulator for tests that leave nothing behind which another would mind."""
    with Simulating(enforce_limits=False) as simulating:
        yield simulating


@pytest.fixture(scope="session")
def api() -> dict[str, Any]:
    """The machine-readable Bot API."""
    if not API.is_file():
        pytest.skip("../shared/telegram/api.json is not here: models are not compared with it")
    found: dict[str, Any] = json.loads(API.read_text())
    return found


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A photo of 1500 by 1000 pixels."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((1500, 1000)).convert("RGB").save(out, "JPEG")
    return out.getvalue()
