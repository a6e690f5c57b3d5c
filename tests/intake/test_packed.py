"""Photos are taken in from an archive as from the folder that it holds, and nothing escapes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.archives import END, header, padded, write_tar, write_zip
from tests.homes import Home, counts, jpeg

from doggo.core.errors import InputError
from doggo.intake.scan import scan

STANFORD = [
    (f"Images/{folder}/{folder[:9]}_{number}.jpg", jpeg(100 * place + number))
    for place, folder in enumerate(("n02085620-Chihuahua", "n02106662-German_shepherd"))
    for number in range(6)
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def test_the_official_layout_gives_what_its_folder_gives(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "images.tar", STANFORD)
    shutil.unpack_archive(archive, tmp_path / "unpacked", filter="data")
    states = []
    for name, given in (("packed", archive), ("unpacked", tmp_path / "unpacked")):
        home = Home.open(tmp_path / f"{name}-home")
        assert counts(home.take_in(given)) == {"added": 12}
        states.append(home.state())
    photos = [{row[0]: row[1:] for row in state["photos"]} for state in states]
    assert photos[0] == photos[1]
    assert states[0]["raw"] == states[1]["raw"]
    assert {key.partition("/")[0] for key in states[0]["raw"]} == {"chihuahua", "german_shepherd"}
    assert states[0]["staging"] == []


def test_a_second_run_adds_nothing_and_more_photos_only_themselves(
    home: Home, tmp_path: Path
) -> None:
    home.take_in(write_tar(tmp_path / "images.tar.gz", STANFORD, "w:gz"))
    assert counts(home.take_in(tmp_path / "images.tar.gz")) == {"already_present": 12}
    more = [*STANFORD, ("Images/n02085620-Chihuahua/new.jpg", jpeg(900))]
    report = home.take_in(write_zip(tmp_path / "more.zip", dict(more)))
    assert counts(report) == {"added": 1, "already_present": 12}
    assert report.added[0].path == f"{tmp_path}/more.zip/Images/n02085620-Chihuahua/new.jpg"
    assert home.state()["staging"] == []


def test_local_copies_in_an_archive_are_never_deleted(home: Home, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "images.tar", STANFORD)
    before = archive.read_bytes()
    home.take_in(archive)
    home.prepare(delete_local=True)
    assert archive.read_bytes() == before


def test_nothing_escapes_from_a_hostile_archive(home: Home, tmp_path: Path) -> None:
    good = "Images/n02085620-Chihuahua/a.jpg"
    nested = write_tar(tmp_path / "nested.tar", STANFORD[:1]).read_bytes()
    files = {
        good: jpeg(1),
        "../../escaped/pug/b.jpg": jpeg(2),
        f"{tmp_path}/absolute/pug/c.jpg": jpeg(3),
        "pug/nested.tar": nested,
        "pug/huge.jpg": b"\xff\xd8\xff" + bytes(21 * 2**20),
        "pug/.hidden.jpg": jpeg(4),
        "README.txt": b"photos of dogs",
    }
    parts = [header(name, len(data)) + padded(data) for name, data in files.items()]
    parts += [header("pug/link.jpg", 0, b"2"), header(good, len(jpeg(5))) + padded(jpeg(5))]
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(b"".join(parts) + END)
    before = sorted(path for path in tmp_path.rglob("*") if home.root not in path.parents)
    report = home.take_in(archive)
    assert counts(report) == {"added": 1, "quarantined": 4}
    after = sorted(path for path in tmp_path.rglob("*") if home.root not in path.parents)
    assert before == after
    shown = {item.path.removeprefix(f"{archive}/"): item for item in report.quarantined}
    for name in ("../../escaped/pug/b.jpg", f"{tmp_path}/absolute/pug/c.jpg"):
        assert shown[name].reason == "no_label"
        assert shown[name].detail == "its name leads out of the archive"
    assert shown["pug/nested.tar"].reason == "not_a_picture"
    assert shown["pug/huge.jpg"].reason == "too_many_bytes"
    ignored = {item.path.removeprefix(f"{archive}/"): item.detail for item in report.ignored}
    assert ignored["pug/link.jpg"] == "not a regular file: a link"
    assert ignored["pug/.hidden.jpg"] == "hidden"
    assert ignored[good] == "a later member of the archive has the same name"
    [key] = home.raw.list()  # the later of the two, as tar would unpack them
    assert home.raw.read(key) == jpeg(5)


def test_a_cut_off_archive_adds_nothing(home: Home, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "images.tar", STANFORD)
    archive.write_bytes(archive.read_bytes()[:-20_000])
    with pytest.raises(InputError, match=r"cut off after \d+ files: nothing was taken in"):
        home.take_in(archive)
    assert home.state()["photos"] == []


def test_a_labels_file_in_an_archive_rules_alone(tmp_path: Path) -> None:
    files = {"labels.csv": b"id,breed\na1,pug\n", "train/a1.jpg": b"x", "train/b2.jpg": b"x"}
    found = scan([write_zip(tmp_path / "dog-breed-identification.zip", files)])
    assert {Path(f.path).name: f.breed for f in found.files} == {"a1.jpg": "pug", "b2.jpg": None}
    assert [Path(item.path).name for item in found.ignored] == ["labels.csv"]


def test_a_labels_file_further_down_in_an_archive_rules_its_folder(tmp_path: Path) -> None:
    files = {
        "kaggle/train/a1.jpg": b"x",
        "kaggle/labels.csv": b"id,breed\na1,pug\n",
        "boxer/b.jpg": b"x",
    }
    found = scan([write_zip(tmp_path / "all.zip", files)])
    assert {Path(f.path).name: f.breed for f in found.files} == {"a1.jpg": "pug", "b.jpg": "boxer"}


def test_an_archive_named_after_a_breed_names_its_files(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "beagle.tar", [("./1.jpg", b"x"), ("./more/2.jpg", b"x")])
    assert [file.breed for file in scan([archive]).files] == ["beagle", "beagle"]
