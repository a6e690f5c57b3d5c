"""Queries on photos; changes of photos and ledger together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.storage.stored import photo, put, sha, source

from doggo.core.errors import StorageError
from doggo.core.records import Origin, Outcome, Split
from doggo.storage.database import open_database
from doggo.storage.photos import PhotoStore, Removal


@pytest.fixture
def store(tmp_path: Path) -> PhotoStore:
    return PhotoStore(open_database(tmp_path / "doggo.db"))


def test_a_photo_comes_back_as_it_was(store: PhotoStore) -> None:
    stored = photo(1, split=Split.TEST, origin=Origin.USER, may_be_shown=False)
    put(store, stored)
    assert store.used(Origin.USER) == [stored]
    assert store.used(Origin.OWNER) == []
    entries = {(stored.source_sha256, "pug"): source(stored)}
    assert store.ledger.sources([stored.source_sha256]) == entries


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    phash=st.integers(0, 2**64 - 1),
    flips=st.sets(st.integers(0, 63), max_size=8),
    number=st.integers(0, 10**9),
)
def test_every_hash_within_four_bits_is_found_and_no_other(
    store: PhotoStore, phash: int, flips: set[int], number: int
) -> None:
    put(store, stored := photo((phash, number), f"{phash:016x}"))
    other = phash ^ sum(1 << bit for bit in flips)
    found = store.alike([], [f"{other:016x}"], 4)
    assert (stored in found) == (len(flips) <= 4)
    store.record(sources=[], photos=[], restored=(), set_aside=(), merged={})
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM photos")
        connection.exec_driver_sql("DELETE FROM sources")


def test_alike_brings_whole_groups(store: PhotoStore) -> None:
    first, second = photo(1, "f" * 16), photo(2, "0" * 16, group_id=sha(1))
    put(store, first, second, photo(3, "0f" * 8))
    assert {p.photo_id for p in store.alike([first.photo_id], [], 4)} == {sha(1), sha(2)}
    assert {p.photo_id for p in store.alike([], [second.phash], 4)} == {sha(1), sha(2)}
    assert store.alike([sha("unknown")], [], 4) == []


def test_setting_aside_takes_photo_and_sources_along(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    put(store, set_aside={stored.photo_id})
    assert store.used(Origin.OWNER) == []
    [entry] = store.ledger.quarantined()
    assert (entry.outcome, entry.reason) == (Outcome.CONFLICT, "conflict")


def test_a_damaged_photo_is_out_of_use_and_unknown_to_the_ledger(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    store.remove([Removal(stored.photo_id, "broken", "altered since intake")])
    assert store.used(Origin.OWNER) == []
    assert store.ledger.sources([stored.source_sha256]) == {}
    assert [entry.detail for entry in store.ledger.quarantined()] == ["altered since intake"]
    put(store, restored={stored.photo_id})
    assert store.used(Origin.OWNER) == [stored]
    assert store.ledger.quarantined() == []


def test_merging_moves_every_member(store: PhotoStore) -> None:
    put(store, photo(1), photo(2), photo(3, group_id=sha(2)))
    put(store, merged={sha(2): sha(1)})
    assert {p.group_id for p in store.used(Origin.OWNER)} == {sha(1)}


def test_a_side_is_set_once(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    store.set_sides({stored.photo_id: Split.TEST})
    store.set_sides({stored.photo_id: Split.TRAIN})
    assert [p.split for p in store.used(Origin.OWNER)] == [Split.TEST]
    assert store.group_sides() == {stored.group_id: Split.TEST}


def test_only_one_command_changes_photos_at_a_time(store: PhotoStore) -> None:
    complaint = r"cannot start preprocess: intake \(process \d+\) is changing the photos"
    second = store.exclusive("preprocess")
    with store.exclusive("intake"), pytest.raises(StorageError, match=complaint), second:
        pytest.fail("two at once")
    with store.exclusive("preprocess"):
        pass


def test_any_number_can_be_looked_up(store: PhotoStore) -> None:
    put(store, *(photo(number, f"{number * 2**40:016x}") for number in range(1200)))
    ids = [sha(number) for number in range(1200)]
    assert len(store.alike(ids, [], 4)) == 1200
