"""The API does what its own description says, whatever it is asked (schemathesis).

Every check that schemathesis has is on. It knows the API from `/openapi.json` alone; what that
cannot say is in `fuzz_hooks.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serving import Serving
from tests.tiny_bundle import make_bundle

from doggo.serve.models import FixedBundle

ROOT = Path(__file__).parents[2]


def fuzz(folder: Path, *options: str) -> tuple[str, int]:
    """Return what schemathesis says of a server of its own, and how many cases it made.

    In a process of its own: its hooks and its engine's settings hold for a whole process.
    """
    with Serving(FixedBundle(make_bundle(folder / "colour"))) as server:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{server.url}/openapi.json",
            "--checks=all",
            "--continue-on-failure",
            "--generation-database=none",
            "--no-color",
            *options,
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.serve.fuzz_hooks",
        }
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert server.client.get("/readyz").status_code == 200
        assert server.metric("doggo_waiting_photos") == 0
        for path in ("/v1/predict", "/v2/models/{name}/infer"):
            answered = f'doggo_requests_total{{route="{path}",status="200"}}'
            assert server.metric(answered) >= 3, "it must find its way to the photos"
    assert done.returncode == 0, done.stdout + done.stderr
    count = re.search(r"(\d+) generated", done.stdout)
    assert count is not None, done.stdout
    print(count[0])
    return done.stdout, int(count[1])


def test_a_few_hundred_cases_find_nothing(tmp_path: Path) -> None:
    said, cases = fuzz(tmp_path, "--seed=1", "--max-examples=4")
    assert cases >= 300
    assert re.search(r"Operations: +(\d+) selected / \1 total", said)


@pytest.mark.soak
def test_five_thousand_cases_find_nothing(tmp_path: Path) -> None:
    _, cases = fuzz(tmp_path, "--max-examples=400")
    assert cases >= 5000
