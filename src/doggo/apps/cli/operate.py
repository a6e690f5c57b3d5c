"""`doggo ui`, `doctor`, `backup` and `restore`: looking after an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import progress_bars, result, result_json, say, transfer_bars

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(ui)
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 5000,
) -> None:
    """Open the tracker, and keep its aliases and production in step."""
    from doggo import wiring
    from doggo.apps.ui import run_ui

    run_ui(wiring.settings(), port=port, say=say)


def doctor(json: Json = False) -> None:
    """Check everything and say how to mend it."""
    from doggo import wiring
    from doggo.apps.doctor import examine, without_settings
    from doggo.core.errors import UsageError

    try:
        checkup = examine(wiring.settings())
    except UsageError as error:
        checkup = without_settings(str(error))
    if json:
        result_json(checkup.to_json())
    else:
        result(checkup.to_text())
    if not checkup.healthy:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="Archive to write, .tar or .tar.gz.")],
    json: Json = False,
) -> None:
    """Write everything doggo keeps into one archive."""
    from doggo import wiring
    from doggo.apps.backup import write_backup

    with progress_bars() as progress:
        made = write_backup(wiring.settings(), file, progress=progress)
    if json:
        result_json(made.to_json())
    else:
        result(made.to_text())


def restore(
    file: Annotated[Path, typer.Argument(help="Archive that `doggo backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Put a backup into DOGGO_HOME."""
    from doggo import wiring
    from doggo.apps.backup import restore_backup

    with transfer_bars() as progress:
        made = restore_backup(wiring.settings(), file, force=force, progress=progress)
    if json:
        result_json(made.to_json())
    else:
        result(made.to_text())
