"""`doggo import neptune`: history that another service kept, into MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doggo.apps.cli.output import progress_bars, result, result_json, say, table

if TYPE_CHECKING:
    from doggo.tracking.neptune_import import ImportReport

app = typer.Typer(help="Bring history from elsewhere into the tracker.", no_args_is_help=True)

_LISTED = 10


@app.callback()
def _group() -> None:
    """Bring history from elsewhere into the tracker."""


@app.command()
def neptune(
    folder: Annotated[
        Path, typer.Argument(metavar="EXPORT_DIR", help="What neptune-exporter wrote.")
    ],
    step_multiplier: Annotated[
        int,
        typer.Option(
            "--step-multiplier", min=1, help="For steps with decimals: MLflow's are whole."
        ),
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Import an export of Neptune: runs, metrics, files and models. Safe to run again."""
    from doggo import wiring
    from doggo.tracking.neptune_import import import_export

    archive = wiring.open_neptune_archive()
    with progress_bars() as progress:
        report = import_export(
            folder,
            archive,
            home=wiring.settings().home,
            step_multiplier=step_multiplier,
            progress=progress,
        )
    if json:
        result_json(report.to_json())
    else:
        _show(report)
    if report.failed:
        say(f"doggo: {len(report.failed)} could not be imported; the first: {report.failed[0]}")
        raise typer.Exit(1)


def _show(report: ImportReport) -> None:
    kinds = ("run", "model", "model_version")
    rows = [(kind, report.imported[kind], report.already_present[kind]) for kind in kinds]
    result(table(["", "imported", "already present"], rows))
    written = report.written
    result(
        f"{written['metrics']:,} metrics, {written['params']:,} parameters, "
        f"{written['files']:,} files, {written['series']:,} logs and series"
    )
    if written["rounded_steps"]:
        say(
            f"{written['rounded_steps']:,} steps had decimals and were rounded: give "
            "--step-multiplier before the first import to keep them apart"
        )
    for name, lines in (
        ("failed", report.failed),
        ("missing", report.missing_files),
        ("refused, outside the export", report.refused_files),
    ):
        for line in lines[:_LISTED]:
            result(f"{name}: {line}")
        if len(lines) > _LISTED:
            result(f"… and {len(lines) - _LISTED:,} more (--json lists all)")
