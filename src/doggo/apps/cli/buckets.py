"""`doggo buckets`: what lies where, and moving it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from doggo.apps.cli.output import progress_bars, result, result_json, table
from doggo.core.buckets import BUCKETS
from doggo.core.errors import DoggoError, UsageError

if TYPE_CHECKING:
    from doggo.storage.buckets import Bucket

app = typer.Typer(help="The buckets: local folders, gs:// and s3://.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
_NAMES = tuple(name.replace("_", "-") for name in BUCKETS)
_Which = f"One of {', '.join(_NAMES)}, or a URL such as gs://bucket/folder."


@app.command("list")
def list_buckets(json: Json = False) -> None:
    """Show every bucket: its URL, objects and size."""
    rows: list[dict[str, object]] = []
    for name in _NAMES:
        row: dict[str, object] = {"name": name, "url": _url(name)}
        try:
            sizes = _open(name).sizes()
            row |= {"objects": len(sizes), "bytes": sum(sizes.values())}
        except DoggoError as error:
            row["problem"] = str(error)
        rows.append(row)
    if json:
        result_json(rows)
        return
    cells = [
        [row["name"], row.get("objects", ""), _size(row), row.get("problem", row["url"])]
        for row in rows
    ]
    result(table(["bucket", "objects", "size", "where"], cells))


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help=_Which)],
    target: Annotated[str, typer.Argument(help=_Which)],
    prefix: Annotated[str, typer.Option(help="Only objects whose key starts so.")] = "",
    move: Annotated[
        bool, typer.Option("--move", help="Remove each object once its copy was verified.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy or move objects from one bucket to another. Each copy is read back and compared."""
    from doggo.storage.transfer import copy_objects

    with progress_bars() as progress:
        done = copy_objects(
            _open(source), _open(target), prefix=prefix, move=move, progress=progress
        )
    if json:
        result_json(done.to_json())
    else:
        removed = f", {done.removed} removed from {source}" if move else ""
        result(f"{done.copied} copied, {done.already_there} were there already{removed}")


def _url(which: str) -> str:
    from doggo import wiring

    if which in _NAMES:
        return wiring.settings().bucket_url(which.replace("-", "_"))
    if "://" not in which:
        raise UsageError(f"{which!r} is no bucket: name {_Which[0].lower()}{_Which[1:]}")
    return which


def _open(which: str) -> Bucket:
    from doggo import wiring

    return wiring.bucket_at(_url(which))


def _size(row: dict[str, object]) -> str:
    from doggo.storage.disk import megabytes

    size = row.get("bytes")
    return megabytes(size) if isinstance(size, int) else ""
