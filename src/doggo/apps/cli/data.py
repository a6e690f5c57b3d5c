"""`doggo intake`, `preprocess` and `run`: from photos to a dataset, or all the way."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.output import progress_bars, result, result_json, say, table
from doggo.apps.cli.released import check_promoted, stage_table
from doggo.core.errors import UsageError

Paths = Annotated[
    list[str],
    typer.Argument(
        help="Photos: a folder per breed, breed_id.jpg, labels.csv; a .tar or .zip; a bucket's URL."
    ),
]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="CSV with columns id,breed (Kaggle's labels.csv).")
]
StanfordLists = Annotated[
    Path | None,
    typer.Option("--stanford-lists", help="Stanford's lists.tar: its test photos are our test."),
]
Relabel = Annotated[
    bool,
    typer.Option("--relabel", help="These files alone say the breed, whatever is filed elsewhere."),
]
New = Annotated[bool, typer.Option("--new", help="Use the new-raw and new-processed buckets.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ShortSide = Annotated[
    int, typer.Option("--short-side", min=64, max=1024, help="Short side of stored pixels, px.")
]
MaxData = Annotated[int | None, typer.Option("--max-data", min=1, help="Take at most N photos.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(run)
    app.command()(intake)
    app.command()(quarantine)
    app.command()(preprocess)


def intake(
    paths: Paths,
    labels: Labels = None,
    relabel: Relabel = False,
    new: New = False,
    json: Json = False,
) -> None:
    """Take labelled photos in. They are checked, deduplicated and stored without metadata."""
    from doggo import flow, wiring
    from doggo.results import intake_text

    with progress_bars() as progress, wiring.open_stores(new=new) as stores:
        report = flow.take_in(stores, paths, labels=labels, relabel=relabel, progress=progress)
    if json:
        result_json(report.to_json())
    else:
        result(intake_text(report))


def quarantine(new: New = False, json: Json = False) -> None:
    """List the files that intake set aside, each with its reason."""
    from doggo import wiring
    from doggo.core.records import Outcome
    from doggo.storage.conflicts import HOW_TO_SOLVE, explained

    with wiring.open_stores(new=new, write=False) as stores:
        aside = explained(stores.photos, stores.photos.ledger.quarantined())
    if json:
        result_json([asdict(source) for source in aside])
    elif aside:
        rows = [(item.reason, item.breed, item.path, item.detail or "") for item in aside]
        result(table(["reason", "breed", "file", "detail"], rows))
        if any(item.outcome is Outcome.CONFLICT for item in aside):
            say(HOW_TO_SOLVE)
    else:
        say("nothing is set aside")


def preprocess(
    new: New = False,
    max_data: MaxData = None,
    full_dataset: Annotated[
        bool, typer.Option("--full-dataset", help="Take all photos (the default).")
    ] = False,
    delete_local: Annotated[
        bool,
        typer.Option("--delete-local", help="Delete source files that are safe in the bucket."),
    ] = False,
    stanford_lists: StanfordLists = None,
    short_side: ShortSide = 256,
    json: Json = False,
) -> None:
    """Turn raw photos into array shards and a dataset manifest."""
    from doggo import flow, wiring

    if full_dataset and max_data is not None:
        raise UsageError("--full-dataset and --max-data contradict each other; give one of them")
    with progress_bars() as progress, wiring.open_stores(new=new) as stores:
        made = flow.prepare(
            stores,
            short_side_px=short_side,
            max_data=max_data,
            delete_local=delete_local,
            stanford_lists=stanford_lists,
            progress=progress,
        )
    if json:
        result_json(made.to_json())
    else:
        result(made.to_text())


def run(
    paths: Paths,
    labels: Labels = None,
    stanford_lists: StanfordLists = None,
    model: Annotated[str, typer.Option(help="Backbone.")] = "efficientnet_lite0",
    seed: Annotated[int, typer.Option(help="Seed of the training, and of the first split.")] = 42,
    accept_labels: Annotated[
        bool, typer.Option("--accept-labels", help="Let the set of breeds change.")
    ] = False,
    json: Json = False,
) -> None:
    """Go the whole way: photos in, a tested model in production out."""
    from doggo import flow, wiring

    with progress_bars() as progress, wiring.open_stores() as stores:
        done = flow.run(
            stores,
            paths,
            labels=labels,
            stanford_lists=stanford_lists,
            model=model,
            seed=seed,
            accept_labels=accept_labels,
            progress=progress,
        )
    if json:
        result_json(done.to_json())
    else:
        if not done.changed_nothing:
            result(stage_table(done.timings))
            result("")
        result(done.to_text())
    check_promoted(done.released)
    if not json:
        say("try it:  doggo predict PHOTO   or   doggo serve")
