"""Counting outcomes that may still change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doggo.core.records import Outcome, Source
from doggo.intake.report import Tally
from doggo.storage.conflicts import Conflicts
from doggo.storage.database import open_database
from doggo.storage.photos import PhotoStore


def source(path: str, outcome: Outcome, photo_id: str | None = "p", breed: str = "pug") -> Source:
    return Source(source_sha256=path, breed=breed, path=path, outcome=outcome, photo_id=photo_id)


@pytest.fixture
def conflicts(tmp_path: Path) -> Conflicts:
    """Those of a ledger that has nothing."""
    return Conflicts(PhotoStore(open_database(tmp_path / "doggo.db")), [])


def test_a_conflict_turns_all_files_of_a_photo_whichever_comes_first(conflicts: Conflicts) -> None:
    tally = Tally()
    tally.add(source("a", Outcome.ADDED), near=True)
    tally.add(source("b", Outcome.EXACT_DUPLICATE))
    tally.set_aside({"p"})
    tally.add(source("c", Outcome.ALREADY_PRESENT))  # asked of the ledger before the conflict
    tally.add(source("d", Outcome.ADDED, photo_id="q"))
    report = tally.report(conflicts)
    assert [item.path for item in report.conflicts] == ["a", "b", "c"]
    assert [item.path for item in report.added] == ["d"]
    assert report.near_duplicates == []
    assert report.withdrawn == []


def test_photos_of_earlier_intakes_are_listed_apart(conflicts: Conflicts) -> None:
    tally = Tally()
    tally.add(source("new", Outcome.CONFLICT, photo_id="q"))
    tally.set_aside({"old"})
    report = tally.report(conflicts)
    assert len(report.conflicts) == 1
    assert [item.path for item in report.withdrawn] == ["old"]


def test_the_json_has_a_count_and_a_list_for_each_heading(conflicts: Conflicts) -> None:
    tally = Tally()
    tally.add(source("a\udcff", Outcome.ADDED, breed="beagel"))
    tally.ignore("README.txt", "not a picture")
    found = json.loads(json.dumps(tally.report(conflicts).to_json()).encode())
    assert (found["added"], found["conflicts"]) == (1, 0)
    assert found["details"]["added"] == [
        {"path": "a\ufffd", "breed": "beagel", "reason": None, "detail": None}
    ]
    assert found["details"]["ignored"][0]["path"] == "README.txt"
    assert found["details"]["new_breeds"] == [{"breed": "beagel", "files": 1, "nearest": "beagle"}]


def test_a_photo_that_was_relabelled_is_listed_once_by_its_file(conflicts: Conflicts) -> None:
    tally = Tally()
    tally.add(source("known", Outcome.CONFLICT))
    tally.mend("p", "beagle", "in conflict")
    tally.add(source("again", Outcome.CONFLICT))  # asked of the ledger before that
    tally.mend("q", "beagle", "pug")
    report = tally.report(conflicts)
    told = [(item.path, item.detail) for item in report.relabelled]
    assert told == [("known", "was in conflict"), ("q", "was pug")]
    assert [item.path for item in report.exact_duplicates] == ["again"]
    assert report.conflicts == []


def test_what_was_relabelled_may_turn_out_to_be_a_conflict(conflicts: Conflicts) -> None:
    tally = Tally()
    tally.add(source("moved", Outcome.ADDED))
    tally.mend("p", "beagle", "pug")
    tally.set_aside({"p"})
    report = tally.report(conflicts)
    assert [item.path for item in report.conflicts] == ["moved"]
    assert report.relabelled == []
