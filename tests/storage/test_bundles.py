"""The bundle store: versions are whole or absent, the pointer is the truth, the audit a chain."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny_bundle import make_bundle

from doggo.core.errors import BundleError, StorageError, UsageError
from doggo.storage.audit import Action, Move
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.bundle import bundle_sha256, read_bundle


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(Bucket(tmp_path / "bundles"))


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three bundles that differ."""
    return [make_bundle(tmp_path / f"b{gain}", gain=gain) for gain in (7, 8, 9)]


def filled(store: BundleStore, folders: list[Path]) -> BundleStore:
    for folder in folders:
        store.add(folder, {"name": "colour"})
    return store


def move(store: BundleStore, version: int, action: Action = Action.PROMOTE) -> Move:
    return store.move(version, why="a test", actor="someone", action=action)


def test_versions_count_up_and_hold_the_sealed_bundle(
    store: BundleStore, folders: list[Path]
) -> None:
    assert store.versions() == ()
    assert [store.add(folder, {}) for folder in folders] == [1, 2, 3]
    assert store.versions() == (1, 2, 3)
    assert store.folder(2).name == "v0002"
    assert read_bundle(store.folder(2)) == read_bundle(folders[1])


def test_the_card_is_kept_with_its_version(store: BundleStore, folders: list[Path]) -> None:
    store.add(folders[0], {"name": "colour", "metrics": {"top1": 0.9}})
    assert store.card(1) == {"name": "colour", "metrics": {"top1": 0.9}, "version": 1}


def test_the_same_bundle_again_keeps_its_version_and_its_first_card(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders)
    assert store.add(folders[1], {"name": "another"}) == 2
    assert store.card(2)["name"] == "colour"
    assert store.versions() == (1, 2, 3)


def test_a_damaged_version_does_not_stand_for_its_bundle(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders[:2])
    (store.folder(1) / "bundle.json").unlink()
    (store.folder(2) / "model.onnx").write_bytes(b"")
    assert [store.add(folder, {}) for folder in folders[:2]] == [3, 4]


def test_a_folder_that_is_no_bundle_is_not_added(store: BundleStore, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        store.add(tmp_path, {})
    assert store.versions() == ()


def test_a_bundle_that_lacks_a_file_leaves_nothing(store: BundleStore, folders: list[Path]) -> None:
    (folders[0] / "model.ts").unlink()
    with pytest.raises(StorageError, match="it is not there"):
        store.add(folders[0], {})
    assert store.versions() == ()
    assert [path.name for path in store.bucket.root.rglob("*") if path.is_file()] in ([], [".lock"])


def test_what_a_killed_copy_left_is_invisible_and_swept_away_later(
    store: BundleStore, folders: list[Path]
) -> None:
    leftover = store.bucket.path("versions") / ".tmp-1"
    leftover.mkdir(parents=True)
    (leftover / "model.onnx").write_bytes(b"half")
    assert store.versions() == ()
    store.add(folders[0], {})
    assert not leftover.exists()


def test_an_unknown_version_names_those_there_are(store: BundleStore, folders: list[Path]) -> None:
    filled(store, folders)
    with pytest.raises(UsageError, match=r"no version 9; the versions here are: 1, 2, 3"):
        store.folder(9)
    with pytest.raises(UsageError):
        move(store, 9)
    assert store.production() is None
    assert store.audit() == ()


def test_the_pointer_names_version_identity_and_move(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders)
    assert store.production() is None
    made = move(store, 2)
    pointer = store.production()
    assert pointer is not None
    assert (pointer.version, pointer.move) == (2, made.seq)
    assert pointer.sha256 == bundle_sha256(folders[1])


def test_the_audit_says_who_moved_from_what_to_what_and_why(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders)
    move(store, 1, Action.BOOTSTRAP)
    store.move(3, why="better", actor="ana", forced=True)
    first, second = store.audit()
    assert (first.from_version, first.to_version, first.action) == (None, 1, Action.BOOTSTRAP)
    assert (second.from_version, second.to_version, second.actor) == (1, 3, "ana")
    assert (second.why, second.forced, second.previous_move) == ("better", True, first.seq)
    assert second.cells()[1:] == [second.at, "ana", "promote (forced)", "1", "3", "better"]
    assert json.loads(json.dumps(second.to_json()))["action"] == "promote"


def test_a_record_that_never_reached_the_pointer_is_on_no_chain(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders)
    move(store, 1)
    before = store.bucket.read("production")
    move(store, 2)
    store.bucket.write("production", before)  # as if killed between record and pointer
    assert [item.to_version for item in store.audit()] == [1]
    move(store, 3)
    assert [(item.seq, item.to_version) for item in store.audit()] == [(1, 1), (3, 3)]
    assert store.audit()[1].from_version == 1


def harm(store: BundleStore, victim: str, how: str) -> None:
    path = store.bucket.path(victim)
    if how == "change":
        path.write_text(path.read_text().replace("a test", "another"))
    elif how == "remove":
        path.unlink()
    else:
        path.write_bytes(b"")


VICTIMS = ["audit/000001.json", "audit/000002.json", "audit/000003.json"]
HARMS = ["change", "remove", "empty"]


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("how", HARMS)
def test_a_record_that_was_altered_or_removed_breaks_the_chain(
    store: BundleStore, folders: list[Path], victim: str, how: str
) -> None:
    filled(store, folders)
    for version in (1, 2, 3):
        move(store, version)
    harm(store, victim, how)
    with pytest.raises(StorageError, match=victim):
        store.audit()
    proven = store.history().moves
    assert [item.seq for item in proven] == list(range(VICTIMS.index(victim) + 2, 4))


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("how", HARMS)
def test_the_next_move_says_what_was_broken_and_the_audit_begins_anew(
    store: BundleStore, folders: list[Path], victim: str, how: str
) -> None:
    filled(store, folders)
    for version in (1, 2, 3):
        move(store, version)
    harm(store, victim, how)
    move(store, 1)
    move(store, 2)
    first, second = store.audit()
    assert (first.from_version, first.to_version) == (3, 1)
    assert first.broken is not None
    assert first.broken.startswith(victim)
    assert (second.from_version, second.to_version, second.broken) == (1, 2, None)
    assert [cells[3] for item in (first, second) for cells in item.rows()] == [
        "gap", "promote", "promote",
    ]  # fmt: skip


@pytest.mark.parametrize("gone", [False, True])
def test_a_pointer_of_an_older_doggo_is_read_and_the_next_one_vouches_for_its_record(
    store: BundleStore, folders: list[Path], gone: bool
) -> None:
    filled(store, folders)
    move(store, 1)
    values = json.loads(store.bucket.read("production"))
    del values["record"]
    store.bucket.write("production", json.dumps(values).encode())
    assert [item.to_version for item in store.audit()] == [1]
    if gone:
        harm(store, "audit/000001.json", "remove")
        with pytest.raises(StorageError, match=r"audit/000001\.json is missing"):
            store.audit()
    move(store, 2)
    assert [item.to_version for item in store.audit()] == [2] if gone else [1, 2]
    harm(store, "audit/000002.json", "change")
    with pytest.raises(StorageError, match=r"audit/000002\.json is damaged or was altered"):
        store.audit()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": "1"}'])
def test_a_damaged_pointer_is_one_clear_line(store: BundleStore, data: bytes) -> None:
    store.bucket.write("production", data)
    with pytest.raises(StorageError, match="doggo restore"):
        store.production()


def test_a_pointer_to_another_version_than_its_move_is_seen(
    store: BundleStore, folders: list[Path]
) -> None:
    filled(store, folders)
    move(store, 1)
    values = json.loads(store.bucket.read("production"))
    store.bucket.write("production", json.dumps({**values, "version": 2}).encode())
    with pytest.raises(StorageError, match="altered"):
        store.audit()


def _add(root: str, folder: str, answers: multiprocessing.Queue[int]) -> None:
    answers.put(BundleStore(Bucket(Path(root))).add(Path(folder), {}))


def test_processes_that_add_at_once_get_versions_of_their_own(
    store: BundleStore, folders: list[Path]
) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[int] = context.Queue()
    workers = [
        context.Process(target=_add, args=(str(store.bucket.root), str(folder), answers))
        for folder in folders
    ]
    for worker in workers:
        worker.start()
    assert sorted(answers.get(timeout=120) for _ in workers) == [1, 2, 3]
    for worker in workers:
        worker.join()
    for version in store.versions():
        read_bundle(store.folder(version))


def test_a_full_disk_leaves_store_and_pointer_as_they_were(
    small_disk: Callable[[str], Path], folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.storage.disk.HEADROOM_BYTES", 0)
    tiny_disk = small_disk("256k")
    store = BundleStore(Bucket(tiny_disk))
    filled(store, folders[:1])
    move(store, 1)
    before = store.production()
    free = tiny_disk / "filler"
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: 10**12)
    with free.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    with pytest.raises(StorageError, match="disk is full"):
        store.add(folders[1], {})
    with pytest.raises(StorageError, match="disk is full"):
        move(store, 1)
    free.unlink()
    assert store.versions() == (1,)
    assert store.production() == before
    assert len(store.audit()) == 1
    move(store, store.add(folders[1], {}))
    assert [item.to_version for item in store.audit()] == [1, 2]


def test_too_little_disk_is_said_before_anything_is_copied(
    store: BundleStore, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.storage.disk.HEADROOM_BYTES", 10**15)
    with pytest.raises(StorageError, match="is needed for version 1 of the model"):
        store.add(folders[0], {})
