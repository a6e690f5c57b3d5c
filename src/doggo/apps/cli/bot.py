"""`doggo bot`: the Telegram bot, and what it gave up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import result, result_json, say

app = typer.Typer(help="The Telegram bot.", no_args_is_help=True)


@app.command()
def run(
    webhook: Annotated[
        str | None,
        typer.Option(help="Serve, and have Telegram bring updates to this https address."),
    ] = None,
    host: Annotated[str, typer.Option(help="With --webhook: address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --webhook: port.")] = 8000,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle folder; else what is in production.")
    ] = None,
) -> None:
    """Answer photos in Telegram. It polls: TELE_API_KEY alone is enough."""
    from doggo import wiring
    from doggo.apps.api import serve
    from doggo.apps.bot import run_polling, served_bot

    source, settings = wiring.model_source(bundle), wiring.settings()
    if webhook is None:
        run_polling(source, settings, say=say)
    else:
        bot = served_bot(settings, webhook, ngrok=False, say=say)
        serve(source, settings, host=host, port=port, say=say, bot=bot)


@app.command("dead-letters")
def dead_letters(
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List updates that could not be answered, and why."""
    from doggo import wiring
    from doggo.apps.dead_letters import letters_json, letters_text
    from doggo.storage import updates

    journal = wiring.open_journal(wiring.settings())
    try:
        letters = journal.submit(updates.dead_letters).result()
    finally:
        journal.close()
    if json:
        result_json(letters_json(letters))
    else:
        result(letters_text(letters))
