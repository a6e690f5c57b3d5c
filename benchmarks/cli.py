"""How long a person waits for the command line: `doggo --help` and `doggo predict one.jpg`.

Medians of fresh processes. The floor beside each is what nobody can go below: a Python that
imports typer, and one that imports the runtime and numpy and opens the same graph. A bootstrap
model is served by onnxruntime; one that was trained here mostly by the fastest runtime, which
takes longer to open a graph: so that one is forced and judged as well.
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
from doggo.vision.pairs import REFERENCE, Pair, usable_pairs

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
        environment.pop("DOGGO_RUNTIME", None)
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

        checks = [
            judged("doggo --help", [DOGGO, "--help"], "import typer", "import typer", environment)
        ]
        predict, name = [DOGGO, "predict", str(photo)], "doggo predict one.jpg"
        checks.append(
            judged(name, predict, "open the graph", opening(REFERENCE, graph), environment)
        )
        fastest = usable_pairs()[-1]
        if fastest == REFERENCE:
            print(f"{name}: no faster runtime here than {fastest.name}")
        else:
            forced = {**environment, "DOGGO_RUNTIME": fastest.name}
            floor = opening(fastest, graph)
            checks.append(
                judged(f"{name}, {fastest.name}", predict, "open the graph", floor, forced)
            )
    return 0 if all(checks) else 1


def opening(pair: Pair, graph: Path) -> str:
    """Return the Python that opens a graph with a bare runtime."""
    if pair.runtime == "onnxruntime":
        return f"import onnxruntime; onnxruntime.InferenceSession({str(graph)!r})"
    options = {"INFERENCE_PRECISION_HINT": pair.precision}
    return f"import openvino; openvino.Core().compile_model({str(graph)!r}, 'CPU', {options!r})"


def judged(
    name: str, command: list[str], floor: str, program: str, environment: dict[str, str]
) -> bool:
    """Measure a command beside its floor, a Python program; print both and judge."""
    limit_s = HELP_LIMIT_S if command[-1] == "--help" else PREDICT_LIMIT_S
    took_s = median_s(command, environment)
    floor_s = median_s([sys.executable, "-c", program], environment)
    holds = took_s <= limit_s
    print(
        f"{name:<37} {took_s:5.2f} s  limit {limit_s:.1f} s  "
        f"floor {floor_s:.2f} s ({floor})  {'holds' if holds else 'TOO SLOW'}",
        flush=True,
    )
    return holds


if __name__ == "__main__":
    sys.exit(main())
