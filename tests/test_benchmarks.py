"""The benchmarks are too slow for the suite; that they still fit the code is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_every_benchmark_finds_what_it_imports() -> None:
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem[0] != "_")
    assert "serve" in names
    program = f"import {', '.join(names)}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCHMARKS, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
