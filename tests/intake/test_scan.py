"""Finding files and their breeds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.archives import write_tar

from doggo.core.breeds import BREEDS
from doggo.core.errors import InputError, UsageError
from doggo.intake.labels import flat_label
from doggo.intake.labels_file import read_labels
from doggo.intake.scan import scan
from doggo.storage.buckets import Bucket


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def breeds_of(root: Path, **options: object) -> dict[str, str | None]:
    found = scan([root], **options).files
    return {str(Path(file.path).relative_to(root)): file.breed for file in found}


def test_a_folder_names_the_breed(tmp_path: Path) -> None:
    touch(tmp_path, "German Shepherd/a.jpg", "n02106662-German_shepherd/b.jpg", "labradoodle/c")
    assert breeds_of(tmp_path) == {
        "German Shepherd/a.jpg": "german_shepherd",
        "n02106662-German_shepherd/b.jpg": "german_shepherd",
        "labradoodle/c": "labradoodle",
    }


def test_the_nearest_known_folder_wins(tmp_path: Path) -> None:
    touch(tmp_path, "Images/train/beagle/2023/a.jpg", "Images/beagle/pug/b.jpg")
    assert breeds_of(tmp_path) == {
        "Images/train/beagle/2023/a.jpg": "beagle",
        "Images/beagle/pug/b.jpg": "pug",
    }


def test_a_given_breed_folder_names_its_own_files(tmp_path: Path) -> None:
    touch(tmp_path, "beagle/IMG_1234.jpg")
    assert breeds_of(tmp_path / "beagle") == {"IMG_1234.jpg": "beagle"}


def test_flat_names_are_read_up_to_the_last_underscore(tmp_path: Path) -> None:
    touch(tmp_path, "german_shepherd_1690.jpg", "shiba_inu_17.png", "IMG_1234.jpg", "beagle.jpg")
    assert breeds_of(tmp_path) == {
        "german_shepherd_1690.jpg": "german_shepherd",
        "shiba_inu_17.png": "shiba_inu",
        "IMG_1234.jpg": None,
        "beagle.jpg": None,
    }


@given(st.sampled_from(BREEDS), st.integers(0, 10**13))
def test_every_flat_name_of_the_seed_gives_its_breed(breed: str, number: int) -> None:
    assert flat_label(f"{breed}_{number}.jpg") == breed


@pytest.mark.parametrize("name", ["IMG_20230101_1200.jpg", "DSC_1.JPG", "photo_1.png", "_1.jpg"])
def test_a_camera_name_is_no_breed(name: str) -> None:
    assert flat_label(name) is None


def test_a_labels_file_in_the_folder_rules_alone(tmp_path: Path) -> None:
    touch(tmp_path, "train/a1.jpg", "train/b2.jpg", "test/c3.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\na1,Boston Bull\nb2,pug\nzz,pug\n")
    assert breeds_of(tmp_path) == {
        "train/a1.jpg": "boston_bull",
        "train/b2.jpg": "pug",
        "test/c3.jpg": None,
    }
    ignored = {item.path: item.reason for item in scan([tmp_path]).ignored}
    assert ignored["zz"] == "in the labels file, but there is no such file"
    assert str(tmp_path / "labels.csv") in ignored


def test_a_labels_file_further_down_rules_its_own_folder_only(tmp_path: Path) -> None:
    touch(tmp_path, "beagle/b.jpg", "kaggle/train/a1.jpg", "kaggle/train/a2.jpg", "train/c.jpg")
    (tmp_path / "kaggle" / "labels.csv").write_text("id,breed\na1,Boston Bull\nzz,pug\n")
    assert breeds_of(tmp_path) == {
        "beagle/b.jpg": "beagle",
        "kaggle/train/a1.jpg": "boston_bull",
        "kaggle/train/a2.jpg": None,
        "train/c.jpg": None,
    }
    ignored = {item.path: item.reason for item in scan([tmp_path]).ignored}
    assert ignored == {
        str(tmp_path / "kaggle" / "labels.csv"): "read as the labels of its folder",
        "zz": "in the labels file, but there is no such file",
    }


def test_the_nearest_labels_file_counts_and_one_of_the_first_doggo_leaves_the_rest(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.jpg", "old/a.jpg", "old/x/b.jpg", "old/c.jpg", "old/pug/d.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\na,boxer\nb,boxer\nc,boxer\n")
    (tmp_path / "old" / "meta_data.csv").write_text("filenames,label\na.jpg,pug\nx/b.jpg,pug\n")
    assert breeds_of(tmp_path) == {
        "a.jpg": "boxer",
        "old/a.jpg": "pug",
        "old/x/b.jpg": "pug",
        "old/c.jpg": "boxer",
        "old/pug/d.jpg": None,
    }


def test_a_labels_file_that_is_not_used_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "train/a1.jpg")
    for name in ("labels.csv", "meta_data.csv"):
        (tmp_path / name).write_text("id,breed\na1,pug\n")
    (tmp_path / "train" / "mylabels.csv").write_text("id,breed\na1,boxer\n")
    assert breeds_of(tmp_path) == {"train/a1.jpg": "pug", "train/mylabels.csv": None}
    reasons = {Path(item.path).name: item.reason for item in scan([tmp_path]).ignored}
    assert reasons["meta_data.csv"] == "not read: another labels file of its folder is"
    given = scan([tmp_path / "train"], tmp_path / "labels.csv")
    assert [file.breed for file in given.files] == ["pug", None]
    reasons = {
        Path(i.path).name: i.reason for i in scan([tmp_path], tmp_path / "labels.csv").ignored
    }
    assert reasons["labels.csv"] == "not read: --labels was given"


@pytest.mark.parametrize("folder", ["train", "Test", "val", "valid", "images", "photos", "data"])
def test_a_folder_named_after_a_part_of_a_set_is_no_breed(tmp_path: Path, folder: str) -> None:
    names = ("0a1b.jpg", "whippet_1.jpg", "shiba_inu_17.jpg", "labradoodle/c.jpg", "beagle/d.jpg")
    touch(tmp_path, *(f"{folder}/{name}" for name in names))
    found = {Path(file.path).name: file for file in scan([tmp_path]).files}
    assert {name: file.breed for name, file in found.items()} == {
        "0a1b.jpg": None,
        "whippet_1.jpg": "whippet",
        "shiba_inu_17.jpg": "shiba_inu",
        "c.jpg": "labradoodle",
        "d.jpg": "beagle",
    }
    problem = found["0a1b.jpg"].problem or ""
    assert problem.startswith(f"the folder {folder} names no breed")
    assert "labels.csv" in problem


def test_a_labels_file_may_be_given_and_may_name_whole_files(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a1.jpg")
    table = tmp_path / "mine.csv"
    table.write_text("\ufefffilenames,label\nphotos/a1.jpg,pug\n", encoding="utf-8")
    assert breeds_of(tmp_path / "photos", labels=table) == {"a1.jpg": "pug"}


def test_a_line_with_a_folder_names_that_file_only(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "x/001.jpg", "y/001.jpg", "z/001.jpg", "z/x/001.jpg")
    (root / "labels.csv").write_text("path,breed\nx/001.jpg,pug\n./y/001,beagle\nx/9.jpg,pug\n")
    wanted = {"x/001.jpg": "pug", "y/001.jpg": "beagle", "z/001.jpg": None, "z/x/001.jpg": None}
    assert breeds_of(root) == wanted
    given = (root / "labels.csv").rename(root / ".mine.csv")
    assert breeds_of(root, labels=given) == wanted
    given = given.rename(tmp_path / "elsewhere.csv")  # paths below the folder that is taken in
    assert breeds_of(root, labels=given) == wanted
    assert [item.path for item in scan([root], given).ignored] == ["x/9.jpg"]


@pytest.mark.parametrize("path", ["photos/x/001.jpg", "../set/photos/x/001.jpg", "{top}/x/001.jpg"])
def test_a_path_may_start_at_the_labels_file_or_at_the_root(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = touch(tmp_path / "set" / "photos", "x/001.jpg", "y/001.jpg")
    labels = tmp_path / "set" / "mine.csv"
    labels.write_text(f"image,class\n{path.format(top=root)},pug\n")
    for table in (labels, Path("mine.csv")):
        monkeypatch.chdir(table.parent if table.is_absolute() else labels.parent)
        assert breeds_of(root, labels=table) == {"x/001.jpg": "pug", "y/001.jpg": None}
        assert [f.breed for f in scan([root / "x" / "001.jpg"], table).files] == ["pug"]


def test_a_path_of_a_labels_file_starts_where_it_lies_in_buckets_and_archives_too(
    tmp_path: Path,
) -> None:
    bucket = Bucket(tmp_path / "bucket")
    files = dict.fromkeys(("set/x/001.npy", "set/y/001.npy"), b"x")
    files["set/labels.csv"] = b"path,breed\nx/001.npy,pug\n"
    for key, data in files.items():
        bucket.write(key, data)
    archive = write_tar(tmp_path / "photos.tar", list(files.items()))
    for place in (bucket.url, archive):
        assert [file.breed for file in scan([place]).files] == ["pug", None], place


def test_a_name_without_a_folder_that_several_files_have_labels_none_of_them(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "x/001.jpg", "y/001.jpg", "y/002.jpg", "y/002.xml", "003.jpg", "x/003.jpg")
    lines = "001.jpg,pug\n002,beagle\n./003.jpg,boxer\n003.jpg,chow\n"
    (tmp_path / "labels.csv").write_text(f"id,breed\n{lines}")
    found = scan([tmp_path]).files
    assert {str(Path(file.path).relative_to(tmp_path)): file.breed for file in found} == {
        "x/001.jpg": None,
        "y/001.jpg": None,
        "y/002.jpg": "beagle",
        "y/002.xml": "beagle",
        "003.jpg": "boxer",
        "x/003.jpg": "chow",
    }
    problem = next(file.problem for file in found if file.breed is None) or ""
    assert problem.startswith("2 files are called 001.jpg")
    assert "write the path, such as x/001.jpg" in problem
    given = scan([tmp_path / "x", tmp_path / "y"], tmp_path / "labels.csv").files
    assert {Path(file.path).name for file in given if file.breed is None} == {"001.jpg"}
    twice = scan([tmp_path / "x", tmp_path / "x" / "001.jpg"], tmp_path / "labels.csv").files
    assert [file.breed for file in twice if file.path.endswith("001.jpg")] == ["pug", "pug"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "needs a header"),
        ("name,kind\na,b\n", "it starts with name, kind"),
        ("id,breed\na,pug\na,beagle\n", "line 3: 'a' has two breeds"),
        ("path,breed\nx/a,pug\ny/a,pug\nx//a,beagle\n", "line 4: 'x//a' has two breeds"),
    ],
)
def test_a_labels_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_labels(path)


def test_a_labels_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00id")
    with pytest.raises(InputError, match="cannot read the labels file"):
        read_labels(path)


def test_what_is_left_out_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "pug/a.jpg", "pug/.DS_Store", ".git/config")
    os.mkfifo(tmp_path / "pug" / "pipe")
    (tmp_path / "pug" / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pug" / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "boxer").mkdir()
    found = scan([tmp_path])
    assert [Path(file.path).name for file in found.files] == ["a.jpg"]
    assert {Path(item.path).name: item.reason for item in found.ignored} == {
        ".DS_Store": "hidden",
        ".git": "hidden",
        "pipe": "not a regular file",
        "dangling.jpg": "cannot be opened: No such file or directory",
        "loop.jpg": "cannot be opened: Too many levels of symbolic links",
        "boxer": "an empty folder",
    }


def test_links_neither_loop_nor_relabel(tmp_path: Path) -> None:
    touch(tmp_path, "beagle/a.jpg")
    (tmp_path / "beagle" / "again").symlink_to(tmp_path)
    (tmp_path / "a_first").symlink_to(tmp_path / "beagle")
    found = scan([tmp_path, tmp_path / "beagle"])
    assert [file.breed for file in found.files] == ["beagle"]
    assert {item.reason for item in found.ignored} == {"folder already visited"}


def test_a_linked_folder_outside_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "pug").symlink_to(tmp_path / "elsewhere")
    assert breeds_of(tmp_path / "photos") == {"pug/a.jpg": "pug"}


def test_a_name_that_cannot_be_a_key_has_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "柴犬/a.jpg")
    [file] = scan([tmp_path]).files
    assert file.breed is None
    assert "cannot name a breed" in (file.problem or "")


def test_one_file_may_be_given(tmp_path: Path) -> None:
    touch(tmp_path, "pug/a.jpg", "whippet_1.jpg")
    assert [f.breed for f in scan([tmp_path / "pug" / "a.jpg"]).files] == ["pug"]
    assert [f.breed for f in scan([tmp_path / "whippet_1.jpg"]).files] == ["whippet"]


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        scan([tmp_path / "nowhere"])


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    touch(tmp_path, "pug/b.jpg", "pug/a.jpg", "beagle/c.jpg")
    names = [Path(file.path).name for file in scan([tmp_path]).files]
    assert names == ["c.jpg", "a.jpg", "b.jpg"]


def test_a_bucket_of_the_first_doggo_is_listed_with_its_breeds(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path / "preprocessed-images")
    for key in (
        "beagle/beagle_1690.npy",
        "meta_dog/meta_dog_1.npy",  # not in its table: the first doggo skipped every "meta"
        "german_shepherd_1691.jpg",
        "odd/a.npy",
    ):
        bucket.write(key, b"x")
    bucket.write(
        "meta_data.csv", b"filenames,label\nbeagle/beagle_1690.npy,beagle\nodd/a.npy,pug\n"
    )
    found = scan([bucket.url])
    assert {file.path.removeprefix(bucket.url + "/"): file.breed for file in found.files} == {
        "beagle/beagle_1690.npy": "beagle",
        "german_shepherd_1691.jpg": "german_shepherd",
        "meta_dog/meta_dog_1.npy": "meta_dog",
        "odd/a.npy": "pug",
    }
    assert [item.path for item in found.ignored] == [f"{bucket.url}/meta_data.csv"]
    local = scan([tmp_path / "preprocessed-images"])  # the same bucket as a folder
    assert [file.breed for file in local.files] == [file.breed for file in found.files]


def test_a_line_of_the_table_without_an_object_is_listed(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path / "raw-images")
    bucket.write("meta_data.csv", b"filenames,label\npug/gone.npy,pug\n")
    bucket.write("pug/here.jpg", b"x")
    assert "pug/gone.npy" in {item.path for item in scan([bucket.url]).ignored}


def test_a_bucket_on_another_host_is_not_looked_for_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names the host 'data'"):
        scan([f"file://data{tmp_path}"])


def test_a_bucket_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such bucket"):
        scan([(tmp_path / "typo").as_uri()])
    assert not (tmp_path / "typo").exists()
    for url in ("file:///", "file://"):
        with pytest.raises(UsageError, match="no such bucket"):
            scan([url])
