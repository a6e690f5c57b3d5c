"""A conflict tells both owners of a picture where the other file is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.homes import Home, jpeg, near, write_folder

from doggo.core.records import Source
from doggo.results import intake_text
from doggo.storage.conflicts import explained


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def told(home: Home) -> dict[str, str | None]:
    return {item.path: item.detail for item in explained(home.store, aside(home))}


def aside(home: Home) -> list[Source]:
    return home.store.ledger.quarantined()


@pytest.mark.parametrize("copy", [jpeg(1), near(1)], ids=["same bytes", "near duplicate"])
def test_both_sides_name_the_breed_and_the_file_of_the_other(
    home: Home, tmp_path: Path, copy: bytes
) -> None:
    a = write_folder(tmp_path / "a", {"pug": [jpeg(1)]}) / "pug" / "000.jpg"
    b = write_folder(tmp_path / "b", {"german_shepherd": [copy]}) / "german_shepherd" / "000.jpg"
    home.take_in(a.parents[1])
    report = home.take_in(b.parents[1])
    against = {
        str(a): f"the same picture is filed under German Shepherd: {b}",
        str(b): f"the same picture is filed under Pug: {a}",
    }
    assert told(home) == against
    assert [(item.path, item.detail) for item in report.conflicts] == [(str(b), against[str(b)])]
    for withdrawn in report.withdrawn:
        assert (withdrawn.path, withdrawn.breed) == (str(a), "pug")
        assert withdrawn.detail == f"accepted by an earlier intake; {against[str(a)]}"
    assert len(report.withdrawn) == (copy != jpeg(1))  # which is a photo of its own
    text = intake_text(report)
    assert against[str(b)] in text
    assert text.count("--relabel") == 1
    again = home.take_in(a.parents[1], b.parents[1])
    assert {item.path: item.detail for item in again.conflicts} == against


def test_files_of_one_intake_that_turn_into_a_conflict_late_are_told_too(
    home: Home, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "photos", {"beagle": [jpeg(1), jpeg(1)], "pug": [jpeg(1)]})
    report = home.take_in(folder)
    for item in report.conflicts:
        other = "Pug: " if item.breed == "beagle" else "Beagle: "
        assert f"filed under {other}{folder}" in (item.detail or "")
    assert len(report.conflicts) == 3


def test_a_file_that_lies_elsewhere_now_is_named_there(home: Home, tmp_path: Path) -> None:
    a = write_folder(tmp_path / "a", {"pug": [jpeg(1)]})
    b = write_folder(tmp_path / "b", {"beagle": [jpeg(1)]})
    home.take_in(a, b)
    moved = a.rename(tmp_path / "c")
    home.take_in(moved)
    where = f"the same picture is filed under Pug: {moved}/pug/000.jpg"
    assert told(home)[f"{b}/beagle/000.jpg"] == where


def test_what_was_overruled_is_against_nobody(home: Home, tmp_path: Path) -> None:
    old = write_folder(tmp_path / "old", {"pug": [jpeg(1)]})
    home.take_in(old)
    home.take_in(write_folder(tmp_path / "right", {"beagle": [jpeg(1)]}), relabel=True)
    home.take_in(write_folder(tmp_path / "more", {"chow": [jpeg(1)]}))
    where = f"the same picture is filed under Beagle: {tmp_path}/right/beagle/000.jpg"
    assert told(home)[f"{tmp_path}/more/chow/000.jpg"] == where
