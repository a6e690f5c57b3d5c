"""Labels that an owner mends: files that were moved, wrong copies that were deleted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.archives import write_tar
from tests.homes import Home, counts, drawn_folder, jpeg, near, write_folder

from doggo.core.records import Origin, Photo
from doggo.preprocess.diff import diff
from doggo.results import intake_text
from doggo.storage.buckets import Bucket

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def move(file: Path, breed: str) -> Path:
    """Put a file of `photos/BREED/` into the folder of another breed."""
    folder = file.parents[1] / breed
    folder.mkdir(exist_ok=True)
    return file.rename(folder / f"{file.parent.name}-{file.name}")


def used(home: Home) -> dict[str, str]:
    return {photo.photo_id: photo.breed for photo in home.store.used(Origin.OWNER)}


def by_id(home: Home) -> dict[str, Photo]:
    return {photo.photo_id: photo for photo in home.store.used(Origin.OWNER)}


def test_a_file_that_was_moved_relabels_its_photo_and_keeps_its_side(
    home: Home, tmp_path: Path
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=2, photos=20)
    home.take_in(folder)
    first, before = home.prepare(), by_id(home)
    moved = move(folder / "beagle" / "003.jpg", "affenpinscher")
    report = home.take_in(folder)
    assert counts(report) == {"relabelled": 1, "already_present": 39}
    [told] = report.relabelled
    assert (told.path, told.breed, told.detail) == (str(moved), "affenpinscher", "was beagle")
    after = by_id(home)
    [changed] = [id_ for id_ in before if before[id_] != after[id_]]
    assert before[changed].breed == "beagle"
    assert after[changed].breed == "affenpinscher"
    assert after[changed].split == before[changed].split
    assert after[changed].group_id == before[changed].group_id
    found_at = {
        source.photo_id: source.path for source, _ in home.store.ledger.added_sources(Origin.OWNER)
    }
    assert found_at[changed] == str(moved)
    shards = set(home.processed.list("shards/"))
    home.raw.root.rename(tmp_path / "away")  # nothing is decoded again
    home.raw.root.mkdir()
    second = home.prepare()
    assert set(home.processed.list("shards/")) == shards
    assert second.manifest_id != first.manifest_id
    change = {one.breed: one.relabelled for one in diff(first, second).breeds}
    assert change == {"affenpinscher": 1, "beagle": 0}


def test_it_adds_and_changes_nothing_a_second_time_and_can_be_moved_back(
    home: Home, tmp_path: Path
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=2, photos=4)
    home.take_in(folder)
    before = used(home)
    moved = move(folder / "beagle" / "003.jpg", "affenpinscher")
    home.take_in(folder)
    state = home.state()
    assert counts(home.take_in(folder)) == {"already_present": 8}
    assert home.state() == state
    moved.rename(folder / "beagle" / "003.jpg")
    assert counts(home.take_in(folder)) == {"relabelled": 1, "already_present": 7}
    assert used(home) == before


def test_a_label_that_changed_in_the_labels_file_relabels(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"train": [jpeg(1), jpeg(2)]})
    (folder / "labels.csv").write_text("id,breed\n000,pug\n001,pug\n")
    assert counts(home.take_in(folder)) == {"added": 2}
    (folder / "labels.csv").write_text("id,breed\n000,pug\n001,beagle\n")
    assert counts(home.take_in(folder)) == {"relabelled": 1, "already_present": 1}
    assert sorted(used(home).values()) == ["beagle", "pug"]


def test_two_files_that_change_places_change_breeds(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)], "beagle": [jpeg(2)]})
    home.take_in(folder)
    before = used(home)
    write_folder(folder, {"pug": [jpeg(2)], "beagle": [jpeg(1)]})
    assert counts(home.take_in(folder)) == {"relabelled": 2}
    assert used(home) == {id_: {"pug": "beagle", "beagle": "pug"}[b] for id_, b in before.items()}


def test_a_group_is_in_conflict_until_all_of_it_was_moved(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1), near(1)], "beagle": [jpeg(2)]})
    home.take_in(folder)
    groups = {photo_id: photo.group_id for photo_id, photo in by_id(home).items()}
    home.prepare()
    sides = {photo_id: photo.split for photo_id, photo in by_id(home).items()}
    move(folder / "pug" / "000.jpg", "beagle")
    assert counts(home.take_in(folder)) == {"already_present": 1, "conflicts": 2}
    assert list(used(home).values()) == ["beagle"]
    state = home.state()
    assert counts(home.take_in(folder)) == {"already_present": 1, "conflicts": 2}
    assert home.state() == state
    move(folder / "pug" / "001.jpg", "beagle")
    assert counts(home.take_in(folder)) == {"already_present": 1, "relabelled": 2}
    assert list(used(home).values()) == ["beagle"] * 3
    assert {id_: photo.split for id_, photo in by_id(home).items()} == sides
    assert {id_: photo.group_id for id_, photo in by_id(home).items()} == groups
    assert home.store.ledger.quarantined() == []
    assert len(home.prepare().rows) == 3


def test_a_whole_folder_that_was_renamed_relabels_groups_too(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"beagel": [jpeg(1), near(1), jpeg(2), jpeg(2)]})
    home.take_in(folder)
    (folder / "beagel").rename(folder / "beagle")
    assert counts(home.take_in(folder)) == {"relabelled": 3, "exact_duplicates": 1}
    assert set(used(home).values()) == {"beagle"}


@pytest.mark.parametrize("mend", ["delete", "move", "take away"])
def test_a_conflict_ends_with_the_wrong_copy(home: Home, tmp_path: Path, mend: str) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1), jpeg(2)], "beagle": [jpeg(1)]})
    assert counts(home.take_in(folder)) == {"added": 1, "conflicts": 2}
    wrong = folder / "beagle" / "000.jpg"
    if mend == "delete":
        wrong.unlink()
    elif mend == "move":
        move(wrong, "pug")
    else:
        wrong.rename(tmp_path / "elsewhere.jpg")
    report = home.take_in(folder)
    duplicates = {"exact_duplicates": 1} if mend == "move" else {}
    assert counts(report) == {"already_present": 1, "relabelled": 1, **duplicates}
    assert [told.detail for told in report.relabelled] == ["was in conflict"]
    assert list(used(home).values()) == ["pug"] * 2
    assert home.store.ledger.quarantined() == []
    assert len(home.prepare().rows) == 2


@pytest.mark.parametrize("copy", [jpeg(1), near(1)], ids=["same bytes", "near duplicate"])
@pytest.mark.parametrize("order", ["ab", "ba", "abab", "aba both", "both ab"])
def test_a_conflict_of_two_folders_stays_one_in_any_order(
    home: Home, tmp_path: Path, order: str, copy: bytes
) -> None:
    a = write_folder(tmp_path / "a", {"pug": [jpeg(1)]})
    b = write_folder(tmp_path / "b", {"beagle": [copy]})
    runs = {"a": [a], "b": [b], "both": [a, b]}
    for name in order.replace("ab", "a b").replace("ba", "b a").split():
        for one in runs[name] if name == "both" else [runs[name]]:
            home.take_in(*one) if isinstance(one, list) else home.take_in(one)
    assert used(home) == {}
    assert {source.breed for source in home.store.ledger.quarantined()} == {"pug", "beagle"}


def test_a_copy_elsewhere_stands_even_if_the_first_was_moved(home: Home, tmp_path: Path) -> None:
    first = write_folder(tmp_path / "first", {"pug": [jpeg(1)]})
    home.take_in(first)
    home.take_in(write_folder(tmp_path / "second", {"pug": [jpeg(1)]}))
    move(first / "pug" / "000.jpg", "beagle")
    assert counts(home.take_in(first)) == {"conflicts": 1}


@pytest.mark.parametrize("copy", ["affenpinscher", "pug"])
def test_a_copy_that_appears_with_the_move_is_a_conflict(
    home: Home, tmp_path: Path, copy: str
) -> None:
    folder = write_folder(tmp_path / "photos", {copy: [jpeg(1), jpeg(9)]})
    home.take_in(folder)
    (folder / copy / "zz.jpg").write_bytes(jpeg(1))
    move(folder / copy / "000.jpg", "beagle")
    assert counts(home.take_in(folder)) == {"already_present": 1, "conflicts": 2}
    assert len(used(home)) == 1


def test_what_an_intake_was_not_given_stands(home: Home, tmp_path: Path) -> None:
    disk = write_folder(tmp_path / "disk", {"pug": [jpeg(1)]})
    home.take_in(disk)
    disk.rename(tmp_path / "not mounted")
    folder = write_folder(tmp_path / "photos", {"beagle": [jpeg(1)]})
    report = home.take_in(folder)
    assert counts(report) == {"conflicts": 1}
    told = report.conflicts[0].detail
    assert told == f"the same picture is filed under Pug: {disk / 'pug' / '000.jpg'}"
    assert "`doggo intake --relabel`" in intake_text(report)


def test_an_archive_stands_until_the_owner_overrules_it(home: Home, tmp_path: Path) -> None:
    archive, folder = tmp_path / "photos.tar", tmp_path / "mended"
    write_tar(archive, [("pug/a.jpg", jpeg(1)), ("pug/b.jpg", jpeg(2))])
    home.take_in(archive)
    write_folder(folder, {"beagle": [jpeg(1)]})
    assert counts(home.take_in(folder)) == {"conflicts": 1}
    assert counts(home.take_in(folder, relabel=True)) == {"relabelled": 1}
    assert sorted(used(home).values()) == ["beagle", "pug"]
    state = home.state()
    assert counts(home.take_in(archive, folder)) == {"already_present": 2, "exact_duplicates": 1}
    assert home.state() == state
    assert counts(home.take_in(archive, relabel=True)) == {"relabelled": 1, "already_present": 1}
    assert list(used(home).values()) == ["pug", "pug"]


def test_two_breeds_at_once_cannot_be_overruled(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)], "beagle": [jpeg(1)]})
    for _ in range(2):
        assert counts(home.take_in(folder, relabel=True)) == {"conflicts": 2}
    assert used(home) == {}


def test_a_member_that_an_archive_no_longer_has_is_gone(home: Home, tmp_path: Path) -> None:
    archive = tmp_path / "photos.tar"
    write_tar(archive, [("pug/a.jpg", jpeg(1)), ("pug/b.jpg", jpeg(2))])
    home.take_in(archive)
    write_tar(archive, [("beagle/a.jpg", jpeg(1)), ("pug/b.jpg", jpeg(2))])
    assert counts(home.take_in(archive)) == {"relabelled": 1, "already_present": 1}


def test_an_archive_that_was_deleted_takes_nothing_back(home: Home, tmp_path: Path) -> None:
    archive = tmp_path / "photos" / "some.tar"
    archive.parent.mkdir()
    write_tar(archive, [("pug/a.jpg", jpeg(1))])
    home.take_in(archive)
    archive.unlink()
    assert counts(home.take_in(write_folder(archive.parent, {"beagle": [jpeg(1)]}))) == {
        "conflicts": 1
    }


def test_an_object_that_was_moved_in_its_bucket_relabels(home: Home, tmp_path: Path) -> None:
    bucket = Bucket(tmp_path / "bucket")
    bucket.write("pug/a.jpg", jpeg(1))
    home.take_in(bucket.url)
    bucket.delete("pug/a.jpg")
    bucket.write("beagle/a.jpg", jpeg(1))
    assert counts(home.take_in(bucket.url)) == {"relabelled": 1}


def test_a_damaged_photo_is_restored_under_its_new_breed(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    home.take_in(folder)
    key = next(iter(home.raw.list()))
    home.raw.write(key, b"damaged")
    home.prepare(short_side_px=100)
    assert len(used(home)) == 2
    for file in sorted((folder / "affenpinscher").iterdir()):
        move(file, "pug")
    home.take_in(folder)
    assert list(used(home).values()) == ["pug"] * 3
    assert home.raw.read(key) != b"damaged"
    assert home.store.ledger.quarantined() == []


def test_a_name_that_is_no_text_can_be_moved(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [], "beagle": []})
    odd = Path(str(folder / "pug") + "/a\udcff.jpg")
    odd.write_bytes(jpeg(1))
    home.take_in(folder)
    odd.rename(str(folder / "beagle") + "/a\udcff.jpg")
    assert counts(home.take_in(folder)) == {"relabelled": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any folder")
def test_a_folder_that_cannot_be_opened_tells_nothing(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)], "beagle": []})
    home.take_in(folder)
    write_folder(folder, {"beagle": [jpeg(1)]})
    (folder / "pug").chmod(0)
    try:
        assert counts(home.take_in(folder)) == {"conflicts": 1}
    finally:
        (folder / "pug").chmod(0o755)


def test_kills_while_photos_are_relabelled_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=3, photos=40)
    write_folder(folder, {"boxer": [near(number) for number in range(10)]})
    homes = [Home.open(tmp_path / name) for name in ("undisturbed", "home")]
    for home in homes:
        home.take_in(folder)
        home.prepare()
    (folder / "boxer").rename(folder / "pug" / "boxer")  # in conflict with affenpinschers still
    (folder / "pug" / "boxer").rename(folder / "affenpinscher" / "more")
    for file in sorted((folder / "beagle").iterdir()):
        move(file, "whippet")
    homes[0].take_in(folder)
    rng, command = random.Random(3), [sys.executable, "-m", "tests.intake.faults"]
    for _ in range(4):
        words = [*command, str(homes[1].root), str(folder)]
        with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.6))
            process.kill()
    homes[1].take_in(folder)
    states = [home.state() for home in homes]
    assert states[0] == states[1]
    assert [row.photo_id for row in homes[0].prepare().rows] == [
        row.photo_id for row in homes[1].prepare().rows
    ]
    assert sorted(used(homes[1]).values()).count("whippet") == 40
