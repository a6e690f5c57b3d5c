"""What commands that release a model tell of it: the time of each stage, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from doggo.apps.cli.output import table
from doggo.core.errors import GateError

if TYPE_CHECKING:
    from doggo.results import Released, Timing


def stage_table(timings: Sequence[Timing]) -> str:
    """Return the seconds of each stage as a table."""
    return table(["stage", "seconds"], [(t.stage, f"{t.seconds:.1f}") for t in timings])


def check_promoted(released: Released) -> None:
    """Have the command fail if the gate kept the version out, for scripts that go on from here.

    Raises:
        GateError: it did; why was told with the result.
    """
    if released.refused:
        raise GateError(f"version {released.version} was refused: production is what it was")
