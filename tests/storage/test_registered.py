"""A registered version becomes a model that answers, or nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_bundle import make_bundle, put_another_in_its_place

from doggo.core.errors import BundleError, NoModelError, UsageError
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.registered import Registered, find_version, forced_pair, load_version
from doggo.vision.pairs import REFERENCE


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Two versions, nothing in production."""
    store = BundleStore(Bucket(tmp_path / "store"))
    for turn in (0, 1):
        store.add(make_bundle(tmp_path / f"turn{turn}", turn=turn), {})
    return store


def test_where_nothing_is_in_production_it_is_said_how_to_change_that(store: BundleStore) -> None:
    with pytest.raises(NoModelError, match=r"doggo run FOLDER.*doggo bootstrap"):
        find_version(store)
    assert find_version(store, 2) == Registered(version=2)


def test_what_is_in_production_is_promised_however_it_is_asked_for(store: BundleStore) -> None:
    move = store.move(2, why="test", actor="test")
    assert find_version(store) == Registered(version=2, sha256=move.sha256)
    assert find_version(store, 2) == find_version(store)
    assert find_version(store, 1) == Registered(version=1)
    assert load_version(store, find_version(store), REFERENCE).model.version == 2


def test_another_sealed_bundle_in_its_place_does_not_answer(store: BundleStore) -> None:
    store.move(1, why="test", actor="test")
    put_another_in_its_place(store.folder(1))
    with pytest.raises(BundleError, match="is not the one that was registered"):
        load_version(store, find_version(store), None)


def test_a_version_that_is_not_there_is_a_usage_error(store: BundleStore) -> None:
    with pytest.raises(UsageError, match="there is no version 7"):
        load_version(store, find_version(store, 7), None)


def test_a_runtime_is_forced_by_its_name() -> None:
    assert forced_pair("") is None
    assert forced_pair(REFERENCE.name) == REFERENCE
    with pytest.raises(UsageError, match="abacus-f32"):
        forced_pair("abacus-f32")
