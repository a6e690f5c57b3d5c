"""`doggo models`: the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import progress_bars, result, result_json, say, table

app = typer.Typer(help="The model registry.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Version = Annotated[int, typer.Argument(min=1, help="Version number.")]


@app.command("list")
def list_versions(json: Json = False) -> None:
    """Show every version; * marks production."""
    from doggo import wiring
    from doggo.registry.run import describe_all

    rows = describe_all(wiring.open_bundles())
    if json:
        result_json([row.to_json() for row in rows])
        return
    if not rows:
        say("no versions yet; `doggo run FOLDER` or `doggo bootstrap` makes the first")
        return
    head = ["", "version", "name", "recipe", "breeds", "validation top-1", "test top-1", "made"]
    result(table(head, [row.cells() for row in rows]))


@app.command()
def show(version: Version, json: Json = False) -> None:
    """Show one version: labels, view, thresholds, metrics, history."""
    from doggo import wiring
    from doggo.registry.run import describe

    row = describe(wiring.open_bundles(), version)
    if json:
        result_json(row.to_json())
    else:
        result(row.to_text())


@app.command()
def promote(
    version: Version,
    why: Annotated[str, typer.Option("--why", help="Recorded in the audit.")] = "asked by hand",
    accept_labels: Annotated[
        bool, typer.Option("--accept-labels", help="Let the set of breeds change.")
    ] = False,
    force: Annotated[
        str | None, typer.Option("--force", metavar="REASON", help="Overrule the gate; recorded.")
    ] = None,
    json: Json = False,
) -> None:
    """Move `production` to a version, through the gate."""
    from doggo import production, wiring

    with progress_bars() as progress, wiring.open_stores() as stores:
        decision = production.promote(
            stores,
            version,
            why=why,
            accept_labels=accept_labels,
            force=force,
            progress=progress,
        )
    if json:
        result_json(decision.to_json())
    else:
        result(decision.to_text())


@app.command()
def rollback(
    why: Annotated[str, typer.Option("--why", help="Recorded in the audit.")] = "asked by hand",
    json: Json = False,
) -> None:
    """Put the previous production version back."""
    from doggo import production, wiring

    with wiring.open_stores() as stores:
        moved = production.rollback(stores, why=why)
    if json:
        result_json(moved.to_json())
    else:
        result(moved.to_text())


@app.command()
def sync(json: Json = False) -> None:
    """Take an alias moved in the tracker through the gate, or undo it."""
    from doggo import production, wiring

    with progress_bars() as progress, wiring.open_stores() as stores:
        synced = production.sync(stores, progress=progress)
    if json:
        result_json(synced.to_json())
    else:
        result(synced.to_text())


@app.command()
def audit(json: Json = False) -> None:
    """Show who moved `production` from what to what, when and why."""
    from doggo import wiring

    history = wiring.open_bundles().history()
    if json:
        result_json([move.to_json() for move in history.moves])
    else:
        head = ["seq", "at", "actor", "action", "from", "to", "why"]
        result(table(head, [row for move in history.moves for row in move.rows()]))
    history.whole()  # raises where it is broken


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write the bundle to.")],
    version: Annotated[
        int | None, typer.Option("--version", help="Version number; production by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Copy a bundle out, for `doggo serve --bundle DIR` elsewhere. It is verified first."""
    from doggo import wiring
    from doggo.registry.run import export_bundle
    from doggo.vision.bundle import bundle_sha256

    copied = export_bundle(wiring.open_bundles(), version, folder)
    if json:
        result_json({"folder": str(copied), "sha256": bundle_sha256(copied)})
    else:
        result(str(copied))
