"""Intake on real files: what is added, what is not, and what a second run does."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from tests.archives import write_tar
from tests.homes import Home, counts, drawn_folder, jpeg, near, write_folder
from tests.object_stores import ObjectStore
from tests.pictures import SECRETS, encode, picture, telling

from doggo.core.errors import InputError, StorageError
from doggo.core.records import Origin
from doggo.storage.buckets import Bucket, open_bucket
from doggo.storage.disk import HEADROOM_BYTES
from doggo.vision.photo import canonical


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def shut_file(path: Path) -> Path:
    """A regular file that cannot be read, by root either, whom no mode keeps out."""
    path.symlink_to("/proc/self/mem")
    return path


def test_a_second_run_adds_nothing(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=3, photos=20)
    assert counts(home.take_in(folder)) == {"added": 60}
    before = home.state()
    assert counts(home.take_in(folder)) == {"already_present": 60}
    assert home.state() == before


def test_every_heading_is_counted_again_in_a_second_run(home: Home, tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "photos",
        {
            "pug": [jpeg(1), jpeg(1), near(1), jpeg(2), jpeg(3)[:900], jpeg(4, size_px=(90, 60))],
            "beagle": [jpeg(2), jpeg(5)],
        },
    )
    (folder / "stray.jpg").write_bytes(jpeg(6))
    (folder / "pug" / "fake.jpg").write_bytes(b"this is no picture at all, whatever its name")
    first = home.take_in(folder)
    assert counts(first) == {
        "added": 3,
        "near_duplicates": 1,
        "exact_duplicates": 1,
        "conflicts": 2,
        "quarantined": 4,
    }
    reasons = {Path(item.path).name: item.reason for item in first.quarantined}
    assert reasons == {
        "004.jpg": "truncated",
        "005.jpg": "too_small",
        "stray.jpg": "no_label",
        "fake.jpg": "not_a_picture",
    }
    before = home.state()
    assert counts(home.take_in(folder)) == {
        "already_present": 3,
        "exact_duplicates": 1,
        "conflicts": 2,
        "quarantined": 4,
    }
    assert home.state() == before


def test_a_moved_folder_is_recognised(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=2, photos=4)
    home.take_in(folder)
    assert counts(home.take_in(folder.rename(tmp_path / "elsewhere"))) == {"already_present": 8}


def test_a_later_conflict_sets_both_copies_aside(home: Home, tmp_path: Path) -> None:
    home.take_in(write_folder(tmp_path / "a", {"pug": [jpeg(1), jpeg(2)]}))
    report = home.take_in(write_folder(tmp_path / "b", {"beagle": [near(1)]}))
    assert counts(report) == {"conflicts": 1}
    assert len(report.withdrawn) == 1
    assert {source.breed for source in home.store.ledger.quarantined()} == {"pug", "beagle"}
    assert len(home.store.used(Origin.OWNER)) == 1
    # The first folder again: the copy that was fine is reported as what it is now.
    assert counts(home.take_in(tmp_path / "a")) == {"already_present": 1, "conflicts": 1}


def test_how_many_processes_there_are_changes_no_row(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=3, photos=15)
    (folder / "beagle" / "twin.jpg").write_bytes(near(3))  # of an affenpinscher
    states = []
    for name in ("one", "two"):
        home = Home.open(tmp_path / name)
        home.take_in(folder)
        states.append(home.state())
    assert states[0] == states[1]


def test_files_that_are_no_candidates_are_listed(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)]})
    (folder / "README.txt").write_text("photos of my pug")
    (folder / "pug" / "picture.txt").write_bytes(jpeg(2))  # a picture, whatever its name
    report = home.take_in(folder)
    assert counts(report) == {"added": 2}
    [ignored] = report.ignored
    assert Path(ignored.path).name == "README.txt"
    assert "not a picture" in (ignored.detail or "")


def test_what_is_no_picture_is_set_aside_if_its_name_promises_one(
    home: Home, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)]})
    promising = {"a.jpg", "b.HEIC", "c.nef", "d.pdf", "e.zip", "empty.png"}
    others = {"Thumbs.db", "notes.txt", "desktop.ini", "a.docx", "nameless", "empty.dat"}
    for name in promising | others:
        content = b"" if name.startswith("empty") else b"no picture, whatever its name"
        (folder / "pug" / name).write_bytes(content)
    report = home.take_in(folder)
    assert {Path(item.path).name for item in report.quarantined} == promising
    assert {Path(item.path).name for item in report.ignored} == others


def test_new_breeds_are_kept_and_listed_with_the_nearest_known_name(
    home: Home, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "photos", {"beagel": [jpeg(1)], "Pug": [jpeg(2)]})
    report = home.take_in(folder)
    [new] = report.new_breeds
    assert (new.breed, new.files, new.nearest) == ("beagel", 1, "beagle")


def test_the_raw_bucket_holds_no_metadata(home: Home, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    files = [telling(kind, 6) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")]
    assert any(secret in data for data in files for secret in SECRETS)
    folder = tmp_path / "photos"
    for number, data in enumerate(files):  # the same picture: under breeds of its own
        write_folder(folder / str(number), {f"breed{number}x": [data]})
        home.take_in(folder / str(number))
    keys = list(home.raw.list())
    assert len(keys) == len(files)
    for key in keys:
        data = home.raw.read(key)
        assert not any(secret in data for secret in SECRETS), key
        with Image.open(io.BytesIO(data)) as image:
            assert not image.getexif().get_ifd(0x8825), key


def test_cleaned_bytes_give_the_pixels_of_the_source(home: Home, tmp_path: Path) -> None:
    data = telling("JPEG", 6)
    home.take_in(write_folder(tmp_path / "photos", {"pug": [data]}))
    [key] = home.raw.list()
    assert np.array_equal(canonical(home.raw.read(key)), canonical(data))


def test_hostile_pictures_are_added_or_quarantined(
    home: Home, hostile_images: Path, tmp_path: Path
) -> None:
    with (hostile_images / "INDEX.csv").open() as file:
        classes = {row["file"]: row["ref_class"] for row in csv.DictReader(file)}
    paths = [hostile_images / name for name in classes]
    labels = tmp_path / "labels.csv"
    names = sorted({path.name for path in paths})
    labels.write_text("id,breed\n" + "".join(f'"{n}",breed {i}x\n' for i, n in enumerate(names)))
    report = home.take_in(*paths, labels=labels)
    done = {item.path for item in (*report.added, *report.exact_duplicates, *report.conflicts)}
    aside = {item.path: item.reason for item in report.quarantined}
    for name, wanted in classes.items():
        path = str((hostile_images / name).absolute())
        assert (path in done) != (path in aside), name
        if wanted == "must_accept":
            assert aside.get(path, "too_small") == "too_small", name
        if wanted == "must_reject":
            assert path in aside, name
    pillow_heif.register_heif_opener()
    for key in home.raw.list():
        with Image.open(io.BytesIO(home.raw.read(key))) as image:
            assert not image.getexif().get_ifd(0x8825), key


def test_real_photos_are_added(home: Home, foolbox_photos: list[Path], tmp_path: Path) -> None:
    photos = {"bull_mastiff": [path.read_bytes() for path in foolbox_photos]}
    folder = write_folder(tmp_path / "photos", photos)
    assert counts(home.take_in(folder)) == {"added": len(foolbox_photos)}


def test_a_name_that_is_no_text_is_taken_and_printable(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "pug"
    folder.mkdir()
    Path(str(folder) + "/a\udcff.jpg").write_bytes(jpeg(1))
    report = home.take_in(folder)
    assert counts(report) == {"added": 1}
    assert json.dumps(report.to_json()).encode()


def test_an_empty_folder_is_one_line(home: Home, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files to take in"):
        home.take_in(tmp_path / "empty")


def test_a_large_file_is_quarantined_without_being_decoded(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1), jpeg(2) + bytes(21 * 2**20)]})
    report = home.take_in(folder)
    assert counts(report) == {"added": 1, "quarantined": 1}
    assert report.quarantined[0].reason == "too_many_bytes"


def test_a_file_nobody_may_read_is_in_quarantine_until_it_is_read(
    home: Home, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)], "beagle": [jpeg(2)]})
    shut = shut_file(folder / "pug" / "shut.jpg")
    assert counts(home.take_in(folder)) == {"added": 2, "quarantined": 1}
    [aside] = home.store.ledger.quarantined()
    assert (aside.path, aside.breed, aside.reason) == (str(shut), "pug", "unreadable")
    before = home.state()
    assert counts(home.take_in(folder)) == {"already_present": 2, "quarantined": 1}
    assert home.state() == before
    shut.unlink()
    shut.write_bytes(jpeg(2))  # a file that the ledger knows, under another breed
    (folder / "beagle" / "000.jpg").unlink()  # and no longer under the one it had
    assert counts(home.take_in(folder)) == {"already_present": 1, "relabelled": 1}
    assert home.store.ledger.quarantined() == []


def test_an_unread_file_that_turns_out_to_be_known_leaves_the_quarantine(
    home: Home, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": [jpeg(1)]})
    shut = shut_file(folder / "pug" / "shut.jpg")
    home.take_in(folder)
    assert [source.path for source in home.store.ledger.quarantined()] == [str(shut)]
    shut.unlink()
    shut.write_bytes(jpeg(1))
    assert counts(home.take_in(folder)) == {"already_present": 1, "exact_duplicates": 1}
    assert home.store.ledger.quarantined() == []


def test_an_object_too_large_to_read_is_in_quarantine_until_it_is_replaced(
    home: Home, tmp_path: Path
) -> None:
    archive = tmp_path / "photos.tar"
    large = jpeg(2) + bytes(21 * 2**20)
    write_tar(archive, [("pug/a.jpg", jpeg(1)), ("pug/b.jpg", large)])
    assert counts(home.take_in(archive)) == {"added": 1, "quarantined": 1}
    [aside] = home.store.ledger.quarantined()
    assert (aside.path, aside.reason) == (f"{archive}/pug/b.jpg", "too_many_bytes")
    before = home.state()
    assert counts(home.take_in(archive)) == {"already_present": 1, "quarantined": 1}
    assert home.state() == before
    write_tar(archive, [("pug/a.jpg", jpeg(1)), ("pug/b.jpg", jpeg(2))])
    assert counts(home.take_in(archive)) == {"added": 1, "already_present": 1}
    assert home.store.ledger.quarantined() == []


def test_a_home_in_which_nothing_could_be_read_is_as_new(home: Home, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", {"pug": []})
    shut_file(folder / "pug" / "shut.jpg")
    assert counts(home.take_in(folder)) == {"quarantined": 1}
    assert not home.store.ledger.has_sources()


def test_a_photo_whose_raw_object_was_lost_is_restored(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=6)
    home.take_in(folder)
    [key, *_] = home.raw.list()
    home.raw.write(key, b"damaged")
    for shard in (home.spool / "shards").iterdir():
        shard.unlink()  # so that preprocess has to decode from the raw bucket
    assert len(home.prepare().rows) == 5
    assert [source.reason for source in home.store.ledger.quarantined()] == ["broken"]
    assert counts(home.take_in(folder)) == {"added": 1, "already_present": 5}
    assert home.store.ledger.quarantined() == []
    assert len(home.prepare().rows) == 6


def test_a_near_duplicate_of_a_stored_photo_joins_its_group(home: Home, tmp_path: Path) -> None:
    home.take_in(write_folder(tmp_path / "a", {"pug": [jpeg(1), jpeg(2)]}))
    home.prepare()
    report = home.take_in(write_folder(tmp_path / "b", {"pug": [near(1)]}))
    assert counts(report) == {"added": 1, "near_duplicates": 1}
    assert len({photo.group_id for photo in home.store.used(Origin.OWNER)}) == 2


def test_progress_ends_at_the_total(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=2, photos=20)
    calls: list[tuple[str, int, int]] = []
    home.take_in(folder, progress=lambda *call: calls.append(call))
    assert calls[0] == ("intake", 0, 40)
    assert calls[-1] == ("intake", 40, 40)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


def test_grey_and_transparent_pictures_are_added(home: Home, tmp_path: Path) -> None:
    files = [
        encode(picture(160, 128, 1).convert("L"), "PNG"),
        encode(picture(160, 128, 2).convert("RGBA"), "PNG"),
        encode(picture(160, 128, 3).convert("P"), "PNG"),
        encode(picture(160, 128, 4).convert("CMYK"), "JPEG"),
    ]
    assert counts(home.take_in(write_folder(tmp_path / "photos", {"pug": files}))) == {"added": 4}


def test_a_disk_that_cannot_hold_them_is_refused_before_the_start(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: 1000)
    with pytest.raises(StorageError, match="not enough disk"):
        home.take_in(folder)
    assert not list(home.raw.list())


def test_a_later_import_asks_for_room_for_what_is_new_only(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    home.take_in(folder)
    room = HEADROOM_BYTES + 350_000  # for one photo and its pixels
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: room)
    assert counts(home.take_in(folder)) == {"already_present": 3}
    drawn_folder(folder, breeds=1, photos=4)
    assert counts(home.take_in(folder)) == {"already_present": 3, "added": 1}
    drawn_folder(folder, breeds=1, photos=6)
    with pytest.raises(StorageError, match="needed for 2 photos"):
        home.take_in(folder)
    assert len(list(home.raw.list())) == 4


@pytest.fixture(params=["local", "gcs", "s3"])
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    if request.param == "local":
        return Bucket(tmp_path / "preprocessed-images")
    store: ObjectStore = request.getfixturevalue(f"{request.param}_store")
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    return open_bucket(f"{store.new_bucket()}/preprocessed-images", cache=tmp_path / "cache")


def test_a_bucket_of_the_first_doggo_is_taken_over(home: Home, bucket: Bucket) -> None:
    array_HWC = np.asarray(picture(120, 90, 7))
    arrays = {"pug/pug_1.npy": array_HWC, "pug/pug_2.npy": array_HWC / 255}
    for key, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        bucket.write(key, buffer.getvalue())
    bucket.write("beagle_3.jpg", jpeg(3))
    bucket.write("meta_data.csv", b"filenames,label\npug/pug_1.npy,pug\npug/pug_2.npy,pug\n")
    report = home.take_in(bucket.url)
    assert counts(report) == {"added": 2, "quarantined": 1}
    [refused] = report.quarantined
    assert (refused.path, refused.reason) == (f"{bucket.url}/pug/pug_2.npy", "not_a_picture")
    png = next(key for key in home.raw.list() if key.startswith("pug/"))
    assert png.endswith(".png")
    assert np.array_equal(canonical(home.raw.read(png)), array_HWC)
    added = {
        Path(source.path).name: source
        for source, _ in home.store.ledger.added_sources(Origin.OWNER)
    }
    kept = bucket.read("pug/pug_1.npy")
    assert added["pug_1.npy"].source_sha256 == hashlib.sha256(kept).hexdigest()
    assert counts(home.take_in(bucket.url)) == {"already_present": 2, "quarantined": 1}
    assert home.state()["staging"] == []
