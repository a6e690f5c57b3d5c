"""`doggo data`: published photos to fetch, and how two datasets of this home differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import result, result_json, say, transfer_bars
from doggo.core.errors import InputError, UsageError

app = typer.Typer(help="Published photos, and the datasets here.", no_args_is_help=True)


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="Id of a dataset, as preprocess prints it.")],
    new: Annotated[str | None, typer.Argument(help="Another one; the newest if left out.")] = None,
    new_buckets: Annotated[
        bool, typer.Option("--new", help="Use the new-raw and new-processed buckets.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell how one dataset differs from another, by breed."""
    from doggo import flow, wiring

    with wiring.open_stores(new=new_buckets, write=False) as stores:
        change = flow.compare_datasets(stores, old, new)
    if json:
        result_json(change.to_json())
    else:
        result(str(change))


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
    """Download Stanford Dogs: 120 breeds, official lists, 794 MB."""
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
