"""Settings become adapters here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.settings import Settings

if TYPE_CHECKING:
    from doggo.serve.models import ModelSource
    from doggo.storage.bundles import BundleStore
    from doggo.stores import Stores
    from doggo.tracking.port import Tracker
    from doggo.vision.predictor import Predictor
    from doggo.vision.runtime import Pair


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        UsageError: an environment variable or a line of `.env` has a value that cannot be.
    """
    from pydantic import ValidationError

    from doggo.core.errors import UsageError

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(f"setting {name}: {first['msg'].lower()}") from error


def open_bundles() -> BundleStore:
    """Return the bundle store: bundles, the production pointer and the audit."""
    from doggo.storage.buckets import open_bucket
    from doggo.storage.bundles import BundleStore

    return BundleStore(open_bucket(settings().bucket_url("bundle")))


@contextmanager
def open_stores(*, new: bool = False) -> Iterator[Stores]:
    """Open everything that the stages read and write; the database is closed at the end.

    Args:
        new: use the new-raw and new-processed buckets, with their own photo rows.
    """
    from doggo.storage.buckets import open_bucket
    from doggo.storage.database import open_database
    from doggo.storage.photos import PhotoStore
    from doggo.stores import Stores

    chosen = settings()
    kind = "new_" if new else ""
    raw = open_bucket(chosen.bucket_url(f"{kind}raw"))
    processed = open_bucket(chosen.bucket_url(f"{kind}processed"))
    engine = open_database(chosen.home / f"{kind}photos.db")
    try:
        yield Stores(
            photos=PhotoStore(engine),
            raw=raw,
            processed=processed,
            bundles=open_bundles(),
            home=chosen.home,
            spool=chosen.home / "cache" / f"{kind}spool",
            workers=chosen.workers,
            forced_runtime=chosen.runtime,
            weights=chosen.weights,
            tracker=open_tracker(),
        )
    finally:
        engine.dispose()


def open_tracker() -> Tracker:
    """Return the tracker: MLflow on SQLite under `home`, or a server by URL."""
    from doggo.tracking.mlflow import open_tracker as open_mlflow

    return open_mlflow(settings().tracker, settings().home)


def load_predictor(folder: Path | None = None) -> Predictor:
    """Load the bundle in `folder`, or the one in production.

    Raises:
        NoModelError: nothing is in production.
        BundleError: the bundle is incomplete or was altered.
    """
    from doggo.core.errors import NoModelError
    from doggo.vision.predictor import Predictor

    forced = _forced_pair()
    if folder is not None:
        return Predictor.load(folder, pair=forced)
    bundles = open_bundles()
    pointer = bundles.production()
    if pointer is None:
        raise NoModelError(
            "no model is in production yet; make one with `doggo run FOLDER_OF_PHOTOS`, "
            "or `doggo bootstrap` for one that needs no photos"
        )
    return Predictor.load(
        bundles.folder(pointer.version), pair=forced, expect_sha256=pointer.sha256
    )


def model_source(folder: Path | None = None) -> ModelSource:
    """Return where the server takes its model from: a fixed folder, or the pointer."""
    from doggo.serve.models import FixedBundle, ProductionBundle

    if folder is not None:
        return FixedBundle(folder, _forced_pair())
    return ProductionBundle(open_bundles(), _forced_pair())


def _forced_pair() -> Pair | None:
    from doggo.vision.runtime import Pair

    return Pair.parse(settings().runtime) if settings().runtime else None
