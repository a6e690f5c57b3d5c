"""The official lists decide who is for the test; what they cannot decide is set aside."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from tests.archives import write_tar
from tests.homes import Home, counts, jpeg, near

from doggo.core.errors import InputError, UsageError
from doggo.core.records import Split
from doggo.preprocess.stanford import read_lists

FOLDER = "n02085620-Chihuahua"
OTHER = "n02106662-German_shepherd"


def mat(names: Sequence[str], variable: str = "file_list") -> bytes:
    """A list as the official ones are: a column of cells with one text each."""
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    buffer = io.BytesIO()
    savemat(buffer, {variable: cells, "labels": np.ones((len(names), 1))})
    return buffer.getvalue()


def write_lists(path: Path, train: Sequence[str], test: Sequence[str]) -> Path:
    files = [("file_list.mat", mat([*train, *test]))]
    files += [("train_list.mat", mat(train)), ("test_list.mat", mat(test))]
    return write_tar(path, files)


def test_lists_are_read_from_the_archive_or_a_folder(tmp_path: Path) -> None:
    lists = write_lists(tmp_path / "lists.tar", [f"{FOLDER}/a_1.jpg"], [f"{OTHER}/b_2.jpg"])
    expected = {"a_1": Split.TRAIN, "b_2": Split.TEST}
    assert read_lists(lists) == expected
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "train_list.mat").write_bytes(mat([f"{FOLDER}/a_1.jpg"]))
    (folder / "test_list.mat").write_bytes(mat([f"{OTHER}/b_2.jpg"]))
    assert read_lists(folder) == expected


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (b"", "not a list of Stanford"),
        (b"\x80\x04cos\nsystem\n", "not a list of Stanford"),  # how a pickle starts
        (mat(["a/1.jpg"])[:-90], "not a list of Stanford"),
        (mat(["a/1.jpg"], variable="annotation_list"), "not a list of Stanford"),
        (bytes(5 * 2**20), "not Stanford's list"),
        (mat(["a/b_2.jpg"]), "b_2 is in both lists"),
    ],
    ids=["empty", "pickle", "cut", "another variable", "huge", "both"],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, train: bytes, said: str) -> None:
    files = [("train_list.mat", train), ("test_list.mat", mat(["b/b_2.jpg"]))]
    with pytest.raises(InputError, match=said):
        read_lists(write_tar(tmp_path / "lists.tar", files))


def test_lists_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_lists(tmp_path / "lists.tar")
    with pytest.raises(InputError, match=r"has no train_list\.mat"):
        read_lists(write_tar(tmp_path / "images.tar", [("x.jpg", b"x")]))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Twelve photos in the official layout: 8 on the train list, 4 on the test list."""
    home = Home.open(tmp_path / "home")
    files = [
        (f"Images/{folder}/{folder[:9]}_{number}.jpg", jpeg(100 * place + number))
        for place, folder in enumerate((FOLDER, OTHER))
        for number in range(6)
    ]
    home.take_in(write_tar(tmp_path / "images.tar", files))
    names = [name.removeprefix("Images/") for name, _ in files]
    test = [name for name in names if name.endswith(("_4.jpg", "_5.jpg"))]
    write_lists(tmp_path / "lists.tar", [name for name in names if name not in test], test)
    return home


def names_of(home: Home, split: Split) -> set[str]:
    rows = {row.photo_id for row in home.prepare().of(split)}
    return {
        Path(path).stem for photo_id, path in home.store.ledger.source_paths() if photo_id in rows
    }


def test_the_test_list_is_our_test_and_stays_so(home: Home, tmp_path: Path) -> None:
    first = home.prepare(stanford_lists=tmp_path / "lists.tar")
    official = {f"{folder[:9]}_{number}" for folder in (FOLDER, OTHER) for number in (4, 5)}
    assert names_of(home, Split.TEST) == official
    assert len(first.of(Split.VALIDATION)) == 2  # a quarter of each breed's four
    assert home.prepare().manifest_id == first.manifest_id
    assert home.prepare(stanford_lists=tmp_path / "lists.tar").manifest_id == first.manifest_id
    home.take_in(
        write_tar(tmp_path / "own.tar", [(f"pug/{n}.jpg", jpeg(n)) for n in range(50, 62)])
    )
    later = {row.photo_id: row.split for row in home.prepare().rows}
    assert all(later[row.photo_id] is row.split for row in first.rows)


def test_near_duplicates_across_the_lists_leave_training(home: Home, tmp_path: Path) -> None:
    twin = (f"Images/{FOLDER}/{FOLDER[:9]}_9.jpg", near(4))  # of a photo on the test list
    home.take_in(write_tar(tmp_path / "more.tar", [twin]))
    lists = read_lists(tmp_path / "lists.tar")
    train = [f"{FOLDER}/{name}.jpg" for name, side in lists.items() if side is Split.TRAIN]
    test = [f"{FOLDER}/{name}.jpg" for name, side in lists.items() if side is Split.TEST]
    write_lists(tmp_path / "lists.tar", [*train, f"{FOLDER}/{FOLDER[:9]}_9.jpg"], test)
    made = home.prepare(stanford_lists=tmp_path / "lists.tar")
    assert (len(made.rows), len(made.of(Split.TEST))) == (12, 4)
    [aside] = home.store.ledger.quarantined()
    assert Path(aside.path).stem == f"{FOLDER[:9]}_9"
    assert aside.reason == "links_sides"


def test_lists_that_come_too_late_change_nothing(home: Home, tmp_path: Path) -> None:
    before = home.prepare()
    with pytest.raises(InputError, match="a side never changes"):
        home.prepare(stanford_lists=tmp_path / "lists.tar")
    assert home.prepare() == before
    assert home.store.ledger.quarantined() == []


def test_lists_of_other_photos_are_refused(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    assert counts(home.take_in(write_tar(tmp_path / "a.tar", [("pug/a.jpg", jpeg(1))])))
    lists = write_lists(tmp_path / "lists.tar", ["a/x_1.jpg"], ["a/x_2.jpg"])
    with pytest.raises(InputError, match="none of the photos"):
        home.prepare(stanford_lists=lists)
