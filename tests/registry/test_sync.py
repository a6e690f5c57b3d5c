"""The tracker's mirror of the registry, on MLflow's own database: the pointer is the truth."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry.datasets import colour_dataset
from tests.registry.pages import Pages
from tests.tiny_bundle import make_bundle

from doggo import production as moves
from doggo.core.errors import StorageError
from doggo.production import mirror
from doggo.registry.run import register
from doggo.storage import manifests
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.database import open_database
from doggo.storage.photos import PhotoStore
from doggo.stores import Stores
from doggo.tracking.mlflow import open_tracker


@pytest.fixture(scope="module")
def fresh_tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker's empty database, which takes seconds to make."""
    home = tmp_path_factory.mktemp("fresh")
    Pages(home)
    return home / "tracker"


@pytest.fixture
def stores(tmp_path: Path, fresh_tracker: Path) -> Stores:
    """An open home with validation photos and no version yet."""
    home = tmp_path / "home"
    shutil.copytree(fresh_tracker, home / "tracker")
    processed = Bucket(home / "processed")
    manifests.save(processed, colour_dataset(processed).manifest)
    return Stores(
        photos=PhotoStore(open_database(home / "photos.db")),
        raw=Bucket(home / "raw"),
        processed=processed,
        bundles=BundleStore(Bucket(home / "bundles")),
        home=home,
        spool=home / "spool",
        workers=1,
        forced_runtime="",
        tracker=open_tracker("", home),
        open_bucket=lambda url: Bucket(Path(url)),
        weights=None,
    )


@pytest.fixture
def pages(stores: Stores) -> Pages:
    return Pages(stores.home)


def add(stores: Stores, *, turn: int = 0, gain: float = 9.0, name: str = "colour") -> int:
    """Register a version as training does; `turn` makes all its answers wrong."""
    folder = stores.home / "made" / str(len(stores.bundles.versions()))
    make_bundle(folder, turn=turn, gain=gain, name=name)
    version = register(stores.bundles, folder, metrics={})
    mirror(stores)
    return version


def production(stores: Stores) -> int:
    pointer = stores.bundles.production()
    assert pointer is not None
    return pointer.version


def without_tracker(stores: Stores) -> Stores:
    """The same home while the tracker cannot be reached: its database is damaged."""
    damaged = stores.home / "damaged"
    (damaged / "tracker").mkdir(parents=True)
    (damaged / "tracker" / "mlflow.db").write_bytes(b"this is no database" * 100)
    return replace(stores, tracker=open_tracker("", damaged))


def test_an_alias_moved_to_an_equal_model_takes_it_into_production(
    stores: Stores, pages: Pages
) -> None:
    moves.promote(stores, add(stores), why="first")
    add(stores, gain=8)
    pages.move("colour", "production", 2)
    assert list(moves.sync(stores).lines) == [
        "colour: production moved to version 2, as the alias asked"
    ]
    assert production(stores) == pages.aliases("colour")["production"] == 2
    assert stores.bundles.audit()[-1].why == "alias moved in the tracker"
    assert moves.sync(stores).lines == []


def test_an_alias_moved_to_a_worse_model_is_put_back(stores: Stores, pages: Pages) -> None:
    moves.promote(stores, add(stores), why="first")
    add(stores, turn=1)
    pages.move("colour", "production", 2)
    (line,) = moves.sync(stores).lines
    assert "version 2 was not promoted: top-1 -100.0 points" in line
    assert line.endswith("; the alias was put back")
    assert production(stores) == pages.aliases("colour")["production"] == 1
    assert moves.sync(stores).lines == []


def test_an_alias_set_on_a_model_that_never_served_is_heard(stores: Stores, pages: Pages) -> None:
    moves.promote(stores, add(stores), why="first")
    add(stores, gain=8, name="other")
    pages.move("other", "production", 2)
    moves.sync(stores)
    assert production(stores) == 2
    assert (pages.aliases("colour"), pages.aliases("other")) == ({}, {"production": 2})


def test_production_that_changes_its_models_name_is_not_undone(
    stores: Stores, pages: Pages
) -> None:
    moves.promote(stores, add(stores, name="old"), why="first")
    moves.promote(stores, add(stores, gain=8, name="new"), why="another network")
    assert (pages.aliases("old"), pages.aliases("new")) == ({}, {"production": 2})
    assert moves.sync(stores).lines == []
    assert production(stores) == 2


def test_a_rollback_that_the_tracker_missed_is_not_undone(stores: Stores, pages: Pages) -> None:
    moves.promote(stores, add(stores), why="first")
    moves.promote(stores, add(stores, gain=8), why="turned out bad")
    missed = without_tracker(stores)
    moves.rollback(missed, why="it is bad")
    assert missed.tracker.failure is not None
    assert pages.aliases("colour")["production"] == 2  # it stayed behind
    assert list(moves.sync(stores).lines) == [
        "colour: the alias production named version 2, and again names version 1"
    ]
    assert production(stores) == pages.aliases("colour")["production"] == 1
    assert pages.states("colour") == {1: None, 2: "archived"}


def test_a_version_that_the_tracker_missed_is_shown_by_the_next_sync(
    stores: Stores, pages: Pages
) -> None:
    moves.promote(stores, add(stores), why="first")
    missed = without_tracker(stores)
    moves.promote(missed, add(missed, gain=8), why="better")
    assert pages.aliases("colour") == {"production": 1}
    moves.sync(stores)
    assert production(stores) == pages.aliases("colour")["production"] == 2
    assert pages.states("colour") == {1: "archived", 2: None}


def test_an_alias_of_unknown_origin_is_put_right_and_not_promoted(
    stores: Stores, pages: Pages
) -> None:
    """A registry that an older doggo mirrored says nothing about who moved its aliases."""
    moves.promote(stores, add(stores), why="first")
    add(stores, gain=8)
    for tag in ("production", "staging"):
        pages.client.delete_registered_model_tag("colour", f"doggo.alias.{tag}")
    pages.move("colour", "production", 2)
    moves.sync(stores)
    assert production(stores) == pages.aliases("colour")["production"] == 1


def test_staging_is_the_newest_that_never_served_and_archived_what_served_before(
    stores: Stores, pages: Pages
) -> None:
    first = add(stores)
    assert pages.aliases("colour") == {"staging": first}
    moves.promote(stores, first, why="first")
    assert pages.aliases("colour") == {"production": 1}
    second = add(stores, gain=8)
    add(stores, turn=1)
    assert pages.aliases("colour") == {"production": 1, "staging": 3}
    moves.promote(stores, second, why="better")
    assert pages.aliases("colour") == {"production": 2, "staging": 3}
    assert pages.states("colour") == {1: "archived", 2: None, 3: None}
    moves.rollback(stores, why="it is bad")
    assert pages.aliases("colour") == {"production": 1, "staging": 3}
    assert pages.states("colour") == {1: None, 2: "archived", 3: None}


def test_a_wish_that_was_overtaken_while_sync_waited_is_forgotten(
    stores: Stores, pages: Pages
) -> None:
    moves.promote(stores, add(stores), why="first")
    add(stores, gain=8)
    add(stores, gain=7)
    pages.move("colour", "production", 2)
    bundles = BundleStore(stores.bundles.bucket)  # a lock of its own, as in another process
    waiting = threading.Thread(target=lambda: moves.sync(replace(stores, bundles=bundles)))
    with stores.bundles.exclusive():
        waiting.start()
        time.sleep(0.5)
        moves.promote(stores, 3, why="meanwhile")
    waiting.join()
    assert production(stores) == pages.aliases("colour")["production"] == 3


def test_sync_says_so_when_the_tracker_does_not_answer(stores: Stores) -> None:
    add(stores)
    with pytest.raises(StorageError, match=r"the tracker at .* failed"):
        moves.sync(without_tracker(stores))
