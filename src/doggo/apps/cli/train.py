"""`doggo bootstrap`, `experiment` (one, or a grid of them), `train` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from doggo.apps.cli.grid import Again, Grid, given_twice, grid_result
from doggo.apps.cli.output import progress_bars, result, result_json
from doggo.apps.cli.released import check_promoted, stage_table
from doggo.core.errors import UsageError

Model = Annotated[str, typer.Option("--model", help="Backbone, or any timm name.")]
Recipe = Annotated[str, typer.Option("--recipe", help="probe or finetune.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same model.")]
Lr = Annotated[float | None, typer.Option("--lr", help="Learning rate; the recipe's by default.")]
Batch = Annotated[int | None, typer.Option("--batch-size", min=1)]
Patience = Annotated[int, typer.Option("--patience", min=1, help="Epochs without gain.")]
Epochs = Annotated[int, typer.Option("--max-epochs", min=1)]
InputSize = Annotated[int | None, typer.Option("--input-size", min=32, help="Pixels a side.")]
Prob = Annotated[
    float | None, typer.Option("--trf-prb", min=0, max=1, help="Augmentation probability.")
]
Optimizer = Annotated[str | None, typer.Option("--optimizer", help="sgd or adamw.")]
Layers = Annotated[str | None, typer.Option("--layers", help="all, or the last blocks.")]
Devices = Annotated[int | None, typer.Option("--devices", min=1, help="Processes, or GPUs.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(bootstrap)
    app.command()(experiment)
    app.command()(train)
    app.command()(evaluate)


def bootstrap(
    model: Model = "efficientnet_lite0",
    promote: Annotated[
        bool, typer.Option(help="Put it into production if nothing is there yet.")
    ] = True,
    json: Json = False,
) -> None:
    """Make a 120-breed model from ImageNet weights; trains nothing."""
    from doggo import flow, wiring

    with progress_bars() as progress, wiring.open_stores() as stores:
        made = flow.bootstrap(stores, model=model, promote=promote, progress=progress)
    if json:
        result_json(made.to_json())
    else:
        result(made.to_text())


def experiment(
    context: typer.Context,
    model: Model = "efficientnet_lite0",
    n_labels: Annotated[int, typer.Option("--n-labels", min=2, help="Breeds to sample.")] = 10,
    n_samples: Annotated[int, typer.Option("--n-samples", min=4, help="Photos a breed.")] = 100,
    input_size: InputSize = None,
    batch_size: Batch = None,
    lr: Lr = None,
    trf_prb: Prob = None,
    patience: Patience = 5,
    max_epochs: Epochs = 64,
    recipe: Recipe = "probe",
    optimizer: Optimizer = None,
    layers: Layers = None,
    devices: Devices = None,
    seed: Seed = 42,
    grid: Grid = None,
    again: Again = False,
    json: Json = False,
) -> None:
    """Train on a small sample to compare settings. Registers nothing."""
    from doggo import flow, wiring
    from doggo.results import experiment_json, experiment_text

    options = _given(
        model=model,
        n_labels=n_labels,
        n_samples=n_samples,
        input_size=input_size,
        batch_size=batch_size,
        lr=lr,
        trf_prb=trf_prb,
        patience=patience,
        max_epochs=max_epochs,
        recipe=recipe,
        optimizer=optimizer,
        layers=layers,
        devices=devices,
        seed=seed,
    )
    if grid:
        given_twice(context, grid)
        known = [str(parameter.name) for parameter in context.command.params]
        with progress_bars() as progress, wiring.open_stores() as stores:
            compared = flow.grid(stores, grid, options, known=known, again=again, progress=progress)
        grid_result(compared, json=json)
        return
    if again:
        raise UsageError("--again goes with --grid: an experiment alone always runs")
    with progress_bars() as progress, wiring.open_stores() as stores:
        outcome = flow.experiment(stores, options, progress=progress)
    if json:
        result_json(experiment_json(outcome))
    else:
        result(experiment_text(outcome))


def train(
    model: Model = "efficientnet_lite0",
    input_size: InputSize = None,
    batch_size: Batch = None,
    lr: Lr = None,
    trf_prb: Prob = None,
    patience: Patience = 5,
    max_epochs: Epochs = 64,
    recipe: Recipe = "probe",
    optimizer: Optimizer = None,
    layers: Layers = None,
    devices: Devices = None,
    seed: Seed = 42,
    promote: Annotated[bool, typer.Option(help="Ask the gate to put it into production.")] = True,
    accept_labels: Annotated[
        bool, typer.Option("--accept-labels", help="Let the set of breeds change.")
    ] = False,
    json: Json = False,
) -> None:
    """Train on all photos, export, evaluate and register."""
    from doggo import flow, wiring

    options = _given(
        model=model,
        input_size=input_size,
        batch_size=batch_size,
        lr=lr,
        trf_prb=trf_prb,
        patience=patience,
        max_epochs=max_epochs,
        recipe=recipe,
        optimizer=optimizer,
        layers=layers,
        devices=devices,
        seed=seed,
    )
    with progress_bars() as progress, wiring.open_stores() as stores:
        done = flow.train(
            stores, options, promote=promote, accept_labels=accept_labels, progress=progress
        )
    if json:
        result_json(done.to_json())
    else:
        result(stage_table(done.timings))
        result("")
        result(done.to_text())
    check_promoted(done)


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="A version number; the production model by default.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Score this labelled folder instead.")
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="CSV with id,breed.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the report.")] = None,
    json: Json = False,
) -> None:
    """Score a model on the test split and write the report."""
    from doggo import flow, wiring

    if labels is not None and photos is None:
        raise UsageError("--labels goes with --photos")
    with progress_bars() as progress, wiring.open_stores(write=out is None) as stores:
        scored = flow.evaluate_version(
            stores,
            version=_version(model),
            photos=photos,
            labels=labels,
            out=out,
            progress=progress,
        )
    if json:
        result_json(scored.to_json())
    else:
        result(scored.to_text())


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.lstrip("v").isdigit():
        raise UsageError(f"{text!r} is no version number; `doggo models list` shows them")
    return int(text.lstrip("v"))
