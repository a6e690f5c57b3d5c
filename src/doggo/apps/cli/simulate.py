"""`doggo simulate`: a rehearsal without a token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import say


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(simulate)


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8081,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle folder; else what is in production.")
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the page's address.")
    ] = False,
) -> None:
    """Chat with the bot in the browser, without Telegram or a token."""
    from doggo import wiring
    from doggo.apps.simulate import simulate as rehearse

    source = wiring.model_source(bundle)
    rehearse(source, wiring.settings(), port=port, browser=not no_browser, say=say)
