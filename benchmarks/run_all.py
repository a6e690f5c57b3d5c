"""`make bench`: run every benchmark, sum up, and fail if one is below its bar.

Each script prints its figure beside a floor or a peer of the same run and exits 1 below its bar.
They run one after the other, so that none disturbs another. `--write` puts what they printed
into docs/performance.md; names choose some of them, and the figures of the others stay.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- figures: make bench ARGS=--write -->", "<!-- end of figures -->"
_TIMEOUT_S = 1800


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    name: str
    status: int
    seconds: float
    output: str

    @property
    def verdict(self) -> str:
        return {0: "holds", 1: "BELOW ITS BAR", 3: "skipped"}.get(self.status, "FAILED")


def main() -> int:
    scripts = {
        path.stem: path
        for path in sorted(HERE.glob("*.py"))
        if path.name != Path(__file__).name and not path.name.startswith("_")
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"which ones: {', '.join(scripts)}")
    parser.add_argument("--write", action="store_true", help="put the figures into the docs")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(scripts)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(scripts)}")
    chosen = options.names or list(scripts)
    outcomes = [_run(name, scripts[name]) for name in chosen]
    print("\n══ sum")
    for outcome in outcomes:
        print(f"{outcome.name:<24} {outcome.verdict:<14} {outcome.seconds:7.1f} s")
    if options.write:
        _write(outcomes)
        print(f"written to {PAGE.relative_to(HERE.parent)}")
    return 1 if any(outcome.status not in (0, 3) for outcome in outcomes) else 0


def _run(name: str, script: Path) -> Outcome:
    print(f"\n══ {name}", flush=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    status = process.wait(_TIMEOUT_S)
    return Outcome(
        name=name,
        status=status,
        seconds=time.perf_counter() - started,
        output="".join(lines).strip(),
    )


def _write(outcomes: list[Outcome]) -> None:
    """Put these figures in the place of their older ones; the others stay."""
    machine = f"{os.cpu_count()} cores, {_cpu()}, Python {platform.python_version()}"
    measured = f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine}."
    text = PAGE.read_text()
    before, rest = text.split(_BEGIN)
    old, after = rest.split(_END)
    sections = {
        part.split(":")[0]: part for part in re.split(r"^### ", old, flags=re.MULTILINE)[1:]
    }
    for o in outcomes:
        body = f"{o.name}: {o.verdict}\n\n{measured}\n\n```text\n{o.output}\n```\n\n"
        sections[o.name] = body
    figures = "".join(f"### {sections[name]}" for name in sorted(sections))
    PAGE.write_text(f"{before}{_BEGIN}\n\n{figures}{_END}{after}")


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
