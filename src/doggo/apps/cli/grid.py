"""`doggo experiment --grid`: its options, and how its result is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from doggo.apps.cli.output import result, result_json, say, table
from doggo.core.errors import UsageError

if TYPE_CHECKING:
    from doggo.train.grid_result import GridResult, GridRow

Grid = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="OPTION=A,B",
        help="Try every value: --grid lr=1e-4,1e-3 --grid model=NAME,NAME.",
    ),
]
Again = Annotated[
    bool, typer.Option("--again", help="With --grid: run also the points that were run before.")
]


def given_twice(context: typer.Context, words: Sequence[str]) -> None:
    """Refuse an option that is given both by itself and in the grid.

    Raises:
        UsageError: there is one.
    """
    for word in words:
        name = word.partition("=")[0].strip().replace("-", "_")
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is given by itself and in --grid: leave one of them out")


def grid_result(compared: GridResult, *, json: bool) -> None:
    """Print a grid: the table on stdout, what to know about it on stderr.

    Raises:
        typer.Exit: with 1 if every point failed.
    """
    if json:
        result_json(compared.to_json())
    else:
        head = ["point", "macro AUROC", "95 %", "top-1", "95 %", "epoch", "seconds", ""]
        result(table(head, [_row(row) for row in compared.rows]))
        for row in compared.rows:
            if row.reason:
                result(f"failed: {row.point.label}: {row.reason}")
        result("\nto repeat a point alone:")
        for row in compared.rows:
            result(f"  {row.point.command}")
    if compared.kept:
        say(
            f"{compared.kept} of {len(compared.rows)} points were in the tracker already and "
            "were not run again (--again runs them)"
        )
    if compared.run_id:
        say(f"the comparison is in the tracker, run {compared.run_id}: see it with `doggo ui`")
    failed = [row for row in compared.rows if row.figures is None]
    if len(failed) == len(compared.rows):
        say(f"doggo: no point of the grid could be run; the first said: {failed[0].reason}")
        raise typer.Exit(1)


def _row(row: GridRow) -> list[str]:
    shown = row.figures
    if shown is None:
        return [row.point.label, "–", "", "–", "", "", "", "failed"]
    return [
        row.point.label,
        f"{shown.macro_auroc:.4f}",
        "{:.4f}–{:.4f}".format(*shown.macro_auroc_interval),
        f"{shown.top1:.4f}",
        "{:.4f}–{:.4f}".format(*shown.top1_interval),
        f"{shown.best_epoch} of {shown.epochs}",
        f"{shown.seconds:.1f}",
        "kept" if row.state == "kept" else "",
    ]
