"""What the ledger says of the files that were handed in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.storage.stored import photo, put, sha, source

from doggo.core.records import Origin, Outcome, Source
from doggo.storage.database import open_database
from doggo.storage.ledger import Filing, ledger_path, unread_key
from doggo.storage.photos import PhotoStore


@pytest.fixture
def store(tmp_path: Path) -> PhotoStore:
    return PhotoStore(open_database(tmp_path / "doggo.db"))


def enter(store: PhotoStore, *sources: Source, **changes: object) -> None:
    everything = {"restored": (), "set_aside": (), "merged": {}} | changes
    store.record(sources=sources, photos=[], **everything)  # type: ignore[arg-type]


def no_photo(path: str, sha256: str, reason: str) -> Source:
    return Source(
        source_sha256=sha256, breed="pug", path=path, outcome=Outcome.QUARANTINED, reason=reason
    )


def test_the_ledger_keeps_the_first_entry(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    again = replace(source(stored), outcome=Outcome.EXACT_DUPLICATE, path="/elsewhere")
    enter(store, again)
    [entry] = store.ledger.sources([stored.source_sha256]).values()
    assert entry.outcome is Outcome.ADDED


def test_why_a_file_is_no_photo_may_be_said_anew(store: PhotoStore) -> None:
    enter(store, no_photo("/a.jpg", sha("a"), "broken"))
    enter(store, no_photo("/a.jpg", sha("a"), "truncated"))
    assert [entry.reason for entry in store.ledger.quarantined()] == ["truncated"]


def test_one_that_nobody_could_read_makes_way_once_it_is_read(store: PhotoStore) -> None:
    key = unread_key("/a.jpg")
    enter(store, no_photo("/a.jpg", key, "unreadable"))
    assert store.ledger.unread() == {key}
    assert not store.ledger.has_sources()
    enter(store, no_photo("/a.jpg", sha("a"), "broken"), met_again={key})
    assert store.ledger.unread() == set()
    assert store.ledger.has_sources()


def test_a_photo_is_filed_wherever_its_file_was_met(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    first = source(stored)
    store.ledger.met([replace(first, path="/copy.jpg"), replace(first, path="/copy.jpg")])
    assert store.ledger.filings([stored.photo_id]) == [Filing(first, (first.path, "/copy.jpg"))]
    enter(store, retracted={(first.source_sha256, first.breed)})
    assert store.ledger.filings([stored.photo_id]) == []
    enter(store, first)
    assert store.ledger.filings([stored.photo_id]) == [Filing(first, (first.path,))]


def test_an_overruled_entry_made_no_photo_but_names_its_file(store: PhotoStore) -> None:
    put(store, stored := photo(1))
    first = source(stored)
    assert store.ledger.added_sources(Origin.OWNER) == [(first, stored.raw_key)]
    enter(store, overruled={(first.source_sha256, first.breed)})
    assert store.ledger.added_sources(Origin.OWNER) == []
    assert store.ledger.source_paths() == [(stored.photo_id, first.path)]


def test_a_path_need_not_be_text() -> None:
    odd = b"/photos/p\xffg.jpg".decode("utf-8", "surrogateescape")
    assert ledger_path(odd).isprintable()
    assert len(unread_key(odd)) == 64
