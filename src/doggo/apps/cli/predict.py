"""`doggo predict` and `doggo serve`: the production model answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doggo.apps.cli.output import result, result_json, say
from doggo.core.errors import (
    DoggoError,
    InputError,
    PhotoError,
    Rejection,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from doggo.apps.bot import ServedBot
    from doggo.core.records import Prediction
    from doggo.vision.predictor import Predictor

Bundle = Annotated[
    Path | None, typer.Option("--bundle", help="A bundle folder instead of production.")
]
Asked = tuple[Path, DoggoError | None]
"""A file to answer, or what cannot be one and why."""

_BATCH = 16  # of up to 20 MiB each


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(predict)
    app.command()(serve)


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Photos, or folders of them.")],
    bundle: Bundle = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line a photo.")] = False,
) -> None:
    """Name the breeds in photos."""
    asked = [found for path in paths for found in _found(path)]
    predictor = _predictor(bundle) if any(problem is None for _, problem in asked) else None
    failed = 0
    for start in range(0, len(asked), _BATCH):
        chunk = asked[start : start + _BATCH]
        for (path, _), answer in zip(chunk, _answers(predictor, chunk), strict=True):
            failed += isinstance(answer, DoggoError)
            _print(path, answer, as_json=json)
    if failed:
        if json or len(asked) > 1:
            say(f"doggo: {failed} of {len(asked)} could not be read as photos")
        raise typer.Exit(1)


def serve(
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    bundle: Bundle = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Start only if production is this model.")
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option("--webhook", help="Have Telegram bring updates to this https address."),
    ] = None,
    ngrok: Annotated[
        bool, typer.Option("--ngrok", help="--webhook with the address of ngrok, if it runs.")
    ] = False,
    no_bot: Annotated[
        bool, typer.Option("--no-bot", help="Leave Telegram alone even if TELE_API_KEY is set.")
    ] = False,
) -> None:
    """Serve the page, the API and the metrics; with a token the bot."""
    from doggo import wiring
    from doggo.apps.api import serve as run_server

    if no_bot and (webhook or ngrok):
        raise UsageError("--webhook and --ngrok are for the bot: leave out --no-bot")

    if model is not None:
        if bundle is not None:
            raise UsageError("--model asks for production, --bundle for another: give one of them")
        _check_launch(model)
    bot = None if no_bot else _bot(webhook, ngrok=ngrok)
    run_server(
        wiring.model_source(bundle), wiring.settings(), host=host, port=port, say=say, bot=bot
    )


def _bot(webhook: str | None, *, ngrok: bool) -> ServedBot | None:
    from doggo import wiring

    if wiring.settings().tele_api_key is None and webhook is None:
        if ngrok:
            say("doggo: TELE_API_KEY is not set: serving without the Telegram bot")
        return None
    from doggo.apps.bot import served_bot

    return served_bot(wiring.settings(), webhook, ngrok=ngrok, say=say)


def _check_launch(model: str) -> None:
    from doggo import wiring
    from doggo.registry.launch import check_launch
    from doggo.registry.run import describe_all

    launch = check_launch(model, describe_all(wiring.open_bundles()))
    wiring.load_predictor().smoke_test()
    say(launch.to_text())


def _predictor(bundle: Path | None) -> Predictor:
    from doggo import wiring

    return wiring.load_predictor(bundle)


def _found(path: Path) -> list[Asked]:
    """Return a file, or those of a folder; what is neither comes with the reason."""
    try:
        if not path.is_dir():
            problem = None if path.exists() else InputError("no such file or folder")
            return [(path, problem)]
        found = sorted(
            child
            for child in path.rglob("*")
            if child.is_file()
            and not any(part.startswith(".") for part in child.relative_to(path).parts)
        )
    except OSError as error:
        return [(path, _unreadable(error))]
    if not found:
        return [(path, PhotoError(Rejection.EMPTY, "no files in this folder"))]
    return [(child, None) for child in found]


def _unreadable(error: OSError) -> StorageError:
    from doggo.core.os_errors import explain_os_error

    return StorageError(f"cannot read it: {explain_os_error(error)}")


def _answers(predictor: Predictor | None, asked: Sequence[Asked]) -> list[Prediction | DoggoError]:
    from doggo.vision.photo import read_limited

    data: list[bytes] = []
    answers: dict[int, Prediction | DoggoError] = {}
    places: list[int] = []
    for place, (path, problem) in enumerate(asked):
        if problem is not None:
            answers[place] = problem
            continue
        try:
            data.append(read_limited(path))
            places.append(place)
        except PhotoError as error:
            answers[place] = error
        except OSError as error:
            answers[place] = _unreadable(error)
    if predictor is not None:
        answers.update(zip(places, predictor.predict_many(data), strict=True))
    return [answers[place] for place in range(len(asked))]


def _print(path: Path, answer: Prediction | DoggoError, *, as_json: bool) -> None:
    from doggo.core.wire import prediction_json

    if isinstance(answer, DoggoError):
        if as_json:
            reason = answer.rejection.value if isinstance(answer, PhotoError) else "unreadable"
            result_json({"path": str(path), "error": str(answer), "reason": reason})
        else:
            say(f"doggo: {path}: {answer}")
    elif as_json:
        result_json({"path": str(path), **prediction_json(answer)})
    else:
        result(f"{path}\n{_words(answer)}")


def _words(answer: Prediction) -> str:
    from doggo.core.breeds import title
    from doggo.core.records import Verdict
    from doggo.core.shares import share

    verdict = {
        Verdict.BREED: "I'm sure.",
        Verdict.UNSURE: "Hard to tell: look-alikes, or a breed I don't know.",
        Verdict.NOT_A_DOG: "That does not look like a dog.",
    }[answer.verdict]
    if answer.verdict is Verdict.NOT_A_DOG:
        return f"  {verdict}"
    lines = [
        f"  {title(item.breed):<32} {'█' * round(20 * item.probability):<20} "
        f"{share(item.probability, 1):>5}%"
        for item in answer.shown
    ]
    return "\n".join([f"  {verdict}", *lines])
