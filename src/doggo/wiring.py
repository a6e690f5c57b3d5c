"""Settings become adapters here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.settings import Settings

if TYPE_CHECKING:
    from doggo.bot.client import Client
    from doggo.serve.models import ModelSource
    from doggo.storage.buckets import Bucket
    from doggo.storage.bundles import BundleStore
    from doggo.storage.journal import Journal
    from doggo.storage.people import Pseudonyms
    from doggo.stores import Stores
    from doggo.tracking.neptune_archive import NeptuneArchive
    from doggo.tracking.tolerant import TolerantTracker
    from doggo.vision.predictor import Predictor


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        UsageError: an environment variable or a line of `.env` has a value that cannot be, or
            `.env` is no text.
    """
    from pydantic import ValidationError

    from doggo.core.errors import UsageError
    from doggo.settings import in_plain_words

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        name = f"DOGGO_{name.upper()}" if name in Settings.model_fields else name.upper()
        raise UsageError(f"setting {name}: {in_plain_words(first['msg'])}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{Path('.env').absolute()} is not in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from error


def open_bundles() -> BundleStore:
    """Return the bundle store: bundles, the production pointer and the audit."""
    from doggo.storage.bundles import BundleStore

    return BundleStore(bucket_at(settings().bucket_url("bundle")))


def bucket_at(url: str) -> Bucket:
    """Return the bucket at a URL, with this installation's credentials and cache.

    Raises:
        UsageError: the URL's scheme is unknown, its library missing or the Google key no key.
        StorageError: a local folder cannot be made, or the home around it cannot.
    """
    from doggo.storage.buckets import open_bucket
    from doggo.storage.home import make_home

    chosen = settings()
    if url.startswith(chosen.home.as_uri() + "/"):
        make_home(chosen.home, write=False)
    bucket = open_bucket(url, cache=chosen.bucket_cache, google_key=chosen.gcssa_raw)
    bucket.trim(chosen.cache_gb * 10**9)
    return bucket


@contextmanager
def open_stores(*, new: bool = False, write: bool = True) -> Iterator[Stores]:
    """Open everything that the stages read and write; the database is closed at the end.

    Args:
        new: use the new-raw and new-processed buckets, with their own photo rows.
        write: False: photos and models are only read, so another user's home will do.

    Raises:
        StorageError: the home cannot be used.
    """
    from doggo.storage.database import open_database
    from doggo.storage.home import make_home
    from doggo.storage.photos import PhotoStore
    from doggo.stores import Stores

    chosen = settings()
    make_home(chosen.home, write=write)
    kind = "new_" if new else ""
    raw = bucket_at(chosen.bucket_url(f"{kind}raw"))
    processed = bucket_at(chosen.bucket_url(f"{kind}processed"))
    engine = open_database(chosen.home / f"{kind}photos.db", write=write)
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
            open_bucket=bucket_at,
            new=new,
        )
    finally:
        engine.dispose()


def open_tracker() -> TolerantTracker:
    """Return the tracker: MLflow on SQLite under `home` or a server, or Neptune's offline files."""
    from doggo.tracking.mlflow import open_tracker as open_mlflow
    from doggo.tracking.neptune import PREFIX, NeptuneTracker
    from doggo.tracking.tolerant import TolerantTracker

    url = settings().tracker
    if url.startswith(PREFIX):
        folder = url.removeprefix(PREFIX) or str(settings().home / "neptune")
        return TolerantTracker(NeptuneTracker(Path(folder), _neptune_projects()))
    return open_mlflow(url, settings().home)


def open_neptune_archive() -> NeptuneArchive:
    """Return MLflow as the place for what is imported from Neptune.

    Raises:
        UsageError: the tracker is not MLflow.
    """
    from doggo.storage.home import make_home
    from doggo.tracking.neptune_archive import NeptuneArchive

    make_home(settings().home)
    return NeptuneArchive(settings().tracker, settings().home, _neptune_projects())


def _neptune_projects() -> dict[str, str]:
    from doggo.tracking.port import EXPERIMENT, TRAINING

    return {
        EXPERIMENT: settings().neptune_experiment_project,
        TRAINING: settings().neptune_training_project,
    }


def load_predictor(folder: Path | None = None) -> Predictor:
    """Load the bundle in `folder`, or the one in production.

    Raises:
        NoModelError: nothing is in production.
        BundleError: the bundle is incomplete or was altered.
    """
    from doggo.storage.registered import find_version, forced_pair, load_version
    from doggo.vision.predictor import Predictor

    forced = forced_pair(settings().runtime)
    if folder is not None:
        return Predictor.load(folder, pair=forced)
    bundles = open_bundles()
    return load_version(bundles, find_version(bundles), forced)


def model_source(folder: Path | None = None) -> ModelSource:
    """Return where the server takes its model from: a fixed folder, or the pointer."""
    from doggo.serve.models import FixedBundle, ProductionBundle
    from doggo.storage.registered import forced_pair

    forced = forced_pair(settings().runtime)
    if folder is not None:
        return FixedBundle(folder, forced)
    return ProductionBundle(open_bundles(), forced)


def _bot_token(chosen: Settings) -> str:
    from doggo.core.errors import UsageError

    key = chosen.tele_api_key
    if key is None or not key.get_secret_value().strip():
        raise UsageError(
            "TELE_API_KEY is not set: make a bot with @BotFather in Telegram and put its token "
            "into the environment or .env; `doggo simulate` rehearses without one"
        )
    return key.get_secret_value().strip()


def telegram_client(chosen: Settings) -> Client:
    """Return the connection to Telegram.

    Raises:
        UsageError: there is no token, or it is none.
    """
    from doggo.bot.client import CallError, Client
    from doggo.core.errors import UsageError

    try:
        return Client(_bot_token(chosen), chosen.telegram_url)
    except CallError as error:
        raise UsageError(
            "TELE_API_KEY is no bot token: copy it whole from @BotFather, like 123456:ABC-DEF"
        ) from error


def open_journal(chosen: Settings) -> Journal:
    """Open the bot's database.

    Raises:
        UsageError, StorageError: it cannot be used.
    """
    from doggo.storage.engine import open_chat_database
    from doggo.storage.home import make_home
    from doggo.storage.journal import Journal

    if chosen.bot_database is None:
        make_home(chosen.home)
    return Journal(open_chat_database(chosen.bot_database_url))


def pseudonyms(chosen: Settings) -> Pseudonyms:
    """Return what hides people in the database; its key lies outside of it."""
    from doggo.storage.people import Pseudonyms
    from doggo.storage.secret_files import secret_at

    given = chosen.person_key.get_secret_value() if chosen.person_key else ""
    return Pseudonyms(given or secret_at(chosen.home / "secrets" / "people.key"))


def webhook_secret(chosen: Settings) -> str:
    """Return what Telegram sends along to our webhook, to be told from strangers."""
    from doggo.storage.secret_files import secret_at

    given = chosen.webhook_secret.get_secret_value() if chosen.webhook_secret else ""
    return given or secret_at(chosen.home / "secrets" / "webhook.secret")
