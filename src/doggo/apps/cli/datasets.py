"""`doggo data`: published photos, fetched from where they are published."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import result, result_json, say, transfer_bars
from doggo.core.errors import InputError, UsageError

app = typer.Typer(help="Published photos.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Published photos, fetched from where they are published."""


@app.command("stanford-dogs")
def stanford_dogs(
    folder: Annotated[Path, typer.Argument(help="Where to put them.")] = Path("stanford-dogs"),
    url: Annotated[
        str | None, typer.Option("--url", help="A mirror: the folder that has the archives.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The terms are accepted.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout.")
    ] = False,
) -> None:
    """Download Stanford Dogs (794 MB): 120 breeds, with its official lists."""
    from doggo.apps import stanford_dogs as dataset

    say(dataset.TERMS)
    if not yes:
        _ask()
    with transfer_bars() as progress:
        lists, images = dataset.fetch(folder, progress, url=url or dataset.URL)
    if json:
        result_json({"images": str(images), "lists": str(lists)})
    else:
        result(f"{images}\n{lists}")
    say(f"next:  doggo run {images} --stanford-lists {lists}")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to accept these terms: give --yes if you do")
    sys.stderr.write("Download it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("nothing was downloaded")
