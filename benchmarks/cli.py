"""How long a person waits for the command line: `doggo --help` and `doggo predict one.jpg`.

Medians of fresh processes. The floor beside each is what nobody can go below: a Python that
imports typer, and one that imports onnxruntime and numpy and opens the same graph.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from doggo.apps.drawn import drawn_jpeg

HELP_LIMIT_S = 0.4
PREDICT_LIMIT_S = 2.0
RUNS = 9
DOGGO = str(Path(sys.executable).with_name("doggo"))


def median_s(command: list[str], environment: dict[str, str]) -> float:
    """Return the median wall time of a command over `RUNS` runs, after one that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="doggo-bench-") as folder:
        environment = {**os.environ, "DOGGO_HOME": f"{folder}/home"}
        # A folder that cannot keep bytecode would measure the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            [DOGGO, "bootstrap"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        [graph] = Path(folder).rglob("versions/*/model.onnx")
        photo = Path(folder) / "one.jpg"
        photo.write_bytes(drawn_jpeg("drawn_rings", 0))

        python = sys.executable
        help_s = median_s([DOGGO, "--help"], environment)
        help_floor_s = median_s([python, "-c", "import typer"], environment)
        predict_s = median_s([DOGGO, "predict", str(photo)], environment)
        session = f"import onnxruntime; onnxruntime.InferenceSession({str(graph)!r})"
        predict_floor_s = median_s([python, "-c", session], environment)

    good = True
    for name, took_s, limit_s, floor_s, floor in (
        ("doggo --help", help_s, HELP_LIMIT_S, help_floor_s, "import typer"),
        ("doggo predict one.jpg", predict_s, PREDICT_LIMIT_S, predict_floor_s, "open the graph"),
    ):
        holds = took_s <= limit_s
        good &= holds
        print(
            f"{name:<22} {took_s:5.2f} s  limit {limit_s:.1f} s  "
            f"floor {floor_s:.2f} s ({floor})  {'holds' if holds else 'TOO SLOW'}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
