"""What a command says: JSON and results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from doggo.core.progress import Progress

_SECONDS_BETWEEN_LINES = 5.0
_STEPS_TO_ESTIMATE = 20
_MINUTE_S = 60
_ESTIMATED = ("train", "activations")


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def result(text: str) -> None:
    """Print a result, on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_json(value: object) -> None:
    """Print one JSON document on one line, on stdout."""
    result(json.dumps(value, ensure_ascii=False))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned plain-text columns; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *cells]) for i in range(len(head))]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(head))]

    def line(items: Sequence[str]) -> str:
        return "  ".join(
            item.rjust(width) if right else item.ljust(width)
            for item, width, right in zip(items, widths, numeric, strict=True)
        ).rstrip()

    return "\n".join([line(head), line(["─" * width for width in widths]), *map(line, cells)])


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show how far each stage is: bars on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, int] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        yield show


@contextmanager
def transfer_bars() -> Iterator[Progress]:
    """Show how much of a file has come, how fast, and how long the rest will take."""
    if not sys.stderr.isatty():
        yield _TransferLines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(TextColumn("{task.description:<12}"), *columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total, completed=done)
            bars.update(tasks[name], completed=done, total=total)  # type: ignore[arg-type]

        yield show


class _TransferLines:
    """A line every few seconds, and the last one: bytes, speed and time to go."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        began, held = self._began.setdefault(name, (now, done))
        last = self._said.setdefault(name, now)
        if last == float("inf") or (done < total and now - last < _SECONDS_BETWEEN_LINES):
            return
        self._said[name] = float("inf") if done >= total else now
        bytes_per_s = (done - held) / max(now - began, 1e-3)
        to_go = f", {(total - done) / bytes_per_s:,.0f} s to go" if bytes_per_s > 0 else ""
        say(
            f"{name}: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {bytes_per_s / 1e6:,.1f} MB/s"
            + (to_go if done < total else "")
        )


class _Lines:
    """Progress for a log file: the first, the last, and one every few seconds.

    A long training also says how long it may still take, after twenty steps.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._first: dict[str, tuple[float, int]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        self._first.setdefault(stage, (now, done))
        due = now - self._last.get(stage, 0.0) >= _SECONDS_BETWEEN_LINES
        if due or (done >= total and self._last.get(stage) != float("inf")):
            left = time_left(*self._first[stage], now, done, total) if stage in _ESTIMATED else ""
            say(f"{stage}: {done:,} of {total:,}{left}")
            self._last[stage] = float("inf") if done >= total else now


def time_left(first_s: float, first_done: int, now_s: float, done: int, total: int) -> str:
    """Return `, at most about 3 min left`, or nothing before twenty steps and at the end."""
    steps = done - first_done
    if steps < _STEPS_TO_ESTIMATE or done >= total:
        return ""
    seconds = (now_s - first_s) / steps * (total - done)
    words = f"{seconds:.0f} s" if seconds < 2 * _MINUTE_S else f"{seconds / _MINUTE_S:.0f} min"
    return f", at most about {words} left"


def _is_number(text: str) -> bool:
    return (
        text.replace(",", "").replace(".", "").replace("%", "").replace("-", "").strip().isdigit()
    )
