"""What the doctor checks of the home: room, buckets, photos, dataset, models, tracker.

Each check yields findings and touches nothing: folders are not made. Databases are looked at in
`database_check.py`.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doggo.apps.database_check import damage_of, query, schema_of
from doggo.apps.finding import Finding, Level
from doggo.core.buckets import BUCKETS
from doggo.core.errors import DoggoError, NoModelError, StorageError, UsageError
from doggo.settings import Settings
from doggo.storage.buckets import Bucket, local_folder, open_bucket
from doggo.storage.disk import free_bytes, megabytes, nearest_folder
from doggo.storage.remote import Remote
from doggo.storage.sign_in import is_remote

if TYPE_CHECKING:
    from doggo.vision.pairs import Pair

_LOW_DISK_BYTES = 2 * 10**9
_NO_DISK_BYTES = 200 * 10**6
_TRACKER_TIMEOUT_S = 3.0


def home_folder(settings: Settings) -> Iterator[Finding]:
    """Can the home be written to?"""
    if not settings.home.exists():
        above = nearest_folder(settings.home)
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            detail = f"{settings.home} is made on first use"
            yield Finding(check="home", level=Level.OK, detail=detail)
        else:
            yield Finding(
                check="home",
                level=Level.FAIL,
                detail=f"{settings.home} cannot be made: this user makes no folder in {above}",
                mend="set DOGGO_HOME to a folder that this user may write to",
            )
    elif settings.home.is_dir() and os.access(settings.home, os.W_OK | os.X_OK):
        yield Finding(check="home", level=Level.OK, detail=str(settings.home))
    else:
        yield Finding(
            check="home",
            level=Level.FAIL,
            detail=f"{settings.home} is not a folder that this user may write to",
            mend="change its owner or mode, or set DOGGO_HOME to another folder",
        )


def disk(settings: Settings) -> Iterator[Finding]:
    """Is there room for a dataset of a few thousand photos?"""
    free = free_bytes(settings.home)
    level = (
        Level.FAIL if free < _NO_DISK_BYTES else Level.WARN if free < _LOW_DISK_BYTES else Level.OK
    )
    yield Finding(
        check="disk",
        level=level,
        detail=f"{megabytes(free)} free at {settings.home}",
        mend="" if level is Level.OK else "free some space, or set DOGGO_HOME to another disk",
    )


def buckets(settings: Settings) -> Iterator[Finding]:
    """Can each local bucket be read and written, and each one far away be listed?"""
    for name in BUCKETS:
        url = settings.bucket_url(name)
        yield _cloud_bucket(settings, name) if is_remote(url) else _local_bucket(settings, name)


def _cloud_bucket(settings: Settings, name: str) -> Finding:
    url = settings.bucket_url(name)
    try:
        # A listing of nothing in particular: it needs the bucket and the right to read it.
        Remote(url, settings.gcssa_raw).sizes("doggo-doctor/")
    except DoggoError as error:
        return Finding(
            check="buckets",
            level=Level.FAIL,
            detail=f"{name}: {error}",
            mend=f"mend that, or unset DOGGO_{name.upper()}_BUCKET to use a folder of the home",
        )
    return Finding(check="buckets", level=Level.OK, detail=f"{name}: {url}")


def _local_bucket(settings: Settings, name: str) -> Finding:
    url = settings.bucket_url(name)
    try:
        folder = local_folder(url)
    except UsageError as error:
        return Finding(
            check="buckets",
            level=Level.FAIL,
            detail=f"{name}: {error}",
            mend=f"unset DOGGO_{name.upper()}_BUCKET or give it a folder",
        )
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.R_OK | os.W_OK)):
        return Finding(
            check="buckets",
            level=Level.FAIL,
            detail=f"{name}: {folder} is not a folder that this user may read and write",
            mend="change its owner or mode",
        )
    if not folder.exists() and not folder.is_relative_to(settings.home):
        return Finding(
            check="buckets",
            level=Level.WARN,
            detail=f"{name}: {folder} is not there",
            mend="mount or make it; an empty one is made on first use",
        )
    return Finding(check="buckets", level=Level.OK, detail=f"{name}: {folder}")


def photos(settings: Settings) -> Iterator[Finding]:
    """Do the photo rows and the raw objects belong together?"""
    kinds = [kind for kind in ("", "new_") if (settings.home / f"{kind}photos.db").is_file()]
    if not kinds:
        yield Finding(check="photos", level=Level.OK, detail="none yet")
    for kind in kinds:
        file = settings.home / f"{kind}photos.db"
        raw = _opened(settings, f"{kind}raw")
        if raw is None or damage_of(file):
            continue  # told by the checks of buckets and databases
        has_tables = schema_of(file) > 0  # none where a first command was killed at its start
        rows = query(file, "SELECT raw_key FROM photos") if has_tables else []
        keys = {str(row[0]) for row in rows}
        objects = set(raw.list())
        lost, orphans = sorted(keys - objects), sorted(objects - keys)
        if lost:
            yield Finding(
                check="photos",
                level=Level.FAIL,
                detail=f"{len(lost)} of {len(keys)} photos have no raw object, e.g. {lost[0]}",
                mend="put a backup back (doggo restore FILE --force), or restore the bucket",
            )
        if orphans:
            yield Finding(
                check="photos",
                level=Level.WARN,
                detail=f"{len(orphans)} raw objects have no row, e.g. {orphans[0]}",
                mend="an intake was cut off: run the same `doggo intake` again",
            )
        if not lost and not orphans:
            yield Finding(
                check="photos",
                level=Level.OK,
                detail=f"{len(keys)} photos in {file.name}, each with its raw object",
            )


def dataset(settings: Settings) -> Iterator[Finding]:
    """Is the newest dataset whole, and are the shards there that it names?"""
    bucket = _opened(settings, "processed")
    if bucket is None:
        yield Finding(check="dataset", level=Level.OK, detail="none yet")
        return
    from doggo.storage import manifests

    def damaged(detail: str) -> Finding:
        mend = "doggo preprocess (it makes what is lost from the raw bucket)"
        return Finding(check="dataset", level=Level.FAIL, detail=detail, mend=mend)

    try:
        manifest = manifests.newest(bucket)
    except UsageError:  # an installation that only serves
        yield Finding(check="dataset", level=Level.OK, detail="not looked at: no pyarrow here")
        return
    except StorageError as error:
        yield damaged(str(error))
        return
    if manifest is None:
        yield Finding(check="dataset", level=Level.OK, detail="none yet")
        return
    named = {row.shard for row in manifest.rows}
    lost = sorted(named.difference(bucket.list("shards/")))
    if lost:
        yield damaged(f"{len(lost)} of {len(named)} shards are lost, e.g. {lost[0]}")
        return
    detail = f"{manifest.manifest_id}: {len(manifest.rows)} photos in {len(named)} shards"
    yield Finding(check="dataset", level=Level.OK, detail=detail)


def models(settings: Settings) -> Iterator[Finding]:
    """Does production point to a bundle that is whole and answers?"""
    bucket = _opened(settings, "bundle")
    if bucket is None:
        yield _no_model()
        return
    from doggo.storage.bundles import BundleStore
    from doggo.storage.registered import find_version, load_version

    store = BundleStore(bucket)
    try:
        which = find_version(store)
    except NoModelError:
        yield _no_model()
        return
    history = store.history()
    if history.broken:
        yield Finding(
            check="models",
            level=Level.FAIL,
            detail=f"the audit is broken: {history.broken}; what was before is not proven",
            mend=(
                f"doggo models promote {which.version} (goes on with a record that says so), or "
                "put a backup back (doggo restore FILE --force)"
            ),
        )
    try:
        predictor = load_version(store, which, _usable_pair(settings))
        predictor.smoke_test()
    except DoggoError as error:
        yield Finding(
            check="models",
            level=Level.FAIL,
            detail=f"production is version {which.version}: {error}",
            mend="doggo models rollback, or doggo models promote another version",
        )
        return
    yield Finding(
        check="models",
        level=Level.OK,
        detail=(
            f"version {which.version} ({predictor.model.name}) is in production, verified, "
            f"and answers on {predictor.pair.name}; {len(history.moves)} moves in the audit"
        ),
    )


def tracker(settings: Settings) -> Iterator[Finding]:
    """Does the tracker answer? The local one is among the databases."""
    if not settings.tracker:
        yield Finding(check="tracker", level=Level.OK, detail="MLflow on SQLite, no server")
        return
    if not settings.tracker.startswith(("http://", "https://")):
        yield Finding(check="tracker", level=Level.OK, detail=f"{settings.tracker}, no server")
        return
    url = settings.tracker.rstrip("/") + "/health"
    try:
        with urllib.request.urlopen(url, timeout=_TRACKER_TIMEOUT_S):  # noqa: S310 - the owner's URL
            pass
        yield Finding(check="tracker", level=Level.OK, detail=settings.tracker)
    except (OSError, ValueError, urllib.error.URLError) as error:
        yield Finding(
            check="tracker",
            level=Level.FAIL,
            detail=f"{settings.tracker} does not answer: {error}",
            mend="start that MLflow server, or unset DOGGO_TRACKER to use SQLite",
        )


def _no_model() -> Finding:
    return Finding(
        check="models",
        level=Level.WARN,
        detail="nothing is in production yet",
        mend="doggo run FOLDER, or doggo bootstrap for a model that needs no photos",
    )


def _usable_pair(settings: Settings) -> Pair | None:
    """Return the forced pair; None without one, or where `machine.runtimes` says what is wrong."""
    from doggo.storage.registered import forced_pair
    from doggo.vision.pairs import usable_pairs

    try:
        forced = forced_pair(settings.runtime)
    except UsageError:
        return None
    return forced if forced in usable_pairs() else None


def _opened(settings: Settings, name: str) -> Bucket | None:
    """Return a bucket that is there; None if it is not, for opening a local one makes it."""
    url = settings.bucket_url(name)
    try:
        if not is_remote(url) and not local_folder(url).is_dir():
            return None
    except UsageError:
        return None
    return open_bucket(url, cache=settings.bucket_cache, google_key=settings.gcssa_raw)
