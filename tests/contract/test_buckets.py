"""What every bucket does: a local folder, Google Cloud Storage and S3, over real servers."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
from tests.object_stores import ObjectStore

from doggo.core.errors import StorageError
from doggo.storage.buckets import Bucket, open_bucket


@pytest.fixture(params=["local", "gcs", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return (tmp_path / "a bucket").as_uri()
    store: ObjectStore = request.getfixturevalue(f"{request.param}_store")
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    return f"{store.new_bucket()}/a folder"


@pytest.fixture
def bucket(url: str, tmp_path: Path) -> Bucket:
    return open_bucket(url, cache=tmp_path / "cache")


@pytest.fixture
def elsewhere(url: str, tmp_path: Path) -> Bucket:
    """The same bucket as another machine sees it."""
    return open_bucket(url, cache=tmp_path / "other-cache")


def a_file(folder: Path, data: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_what_is_written_is_read(bucket: Bucket, elsewhere: Bucket) -> None:
    for durable in (True, False):
        bucket.write("a/b c%.bin", b"one", durable=durable)
        bucket.write("a/b c%.bin", b"two", durable=durable)
        assert bucket.read("a/b c%.bin") == elsewhere.read("a/b c%.bin") == b"two"
    assert bucket.exists("a/b c%.bin")
    assert list(bucket.list()) == ["a/b c%.bin"]
    assert bucket.uri("a/b c%.bin").startswith(bucket.url + "/")
    bucket.write("empty", b"")
    assert elsewhere.read("empty") == b""


def test_listing_is_sorted_by_prefix_and_gives_sizes(bucket: Bucket) -> None:
    for key in ("b/2", "a/1", "b/1", "bb"):
        bucket.write(key, key.encode())
    assert list(bucket.list()) == ["a/1", "b/1", "b/2", "bb"]
    assert list(bucket.list("b/")) == ["b/1", "b/2"]
    assert list(bucket.list("b")) == ["b/1", "b/2", "bb"]
    assert list(bucket.list("c/")) == []
    assert bucket.sizes("b/") == {"b/1": 3, "b/2": 3}


def test_a_missing_object_is_one_line(bucket: Bucket) -> None:
    assert not bucket.exists("nothing")
    assert not bucket.path("nothing").exists()
    bucket.delete("nothing")
    with pytest.raises(StorageError, match=r"cannot read .*nothing.*: it is not there"):
        bucket.read("nothing")


def test_what_is_deleted_is_gone_also_for_who_had_it_at_hand(bucket: Bucket) -> None:
    bucket.write("key", b"data")
    assert bucket.path("key").read_bytes() == b"data"
    bucket.delete("key")
    assert not bucket.exists("key")
    assert not bucket.path("key").exists()


def test_create_writes_once_however_many_try(bucket: Bucket, elsewhere: Bucket) -> None:
    wins: list[int] = []

    def race(number: int) -> None:
        writer = bucket if number % 2 else elsewhere
        if writer.create("key", str(number).encode()):
            wins.append(number)

    _all_at_once(race, 8)
    assert len(wins) == 1
    assert bucket.read("key") == str(wins[0]).encode()
    assert list(bucket.list()) == ["key"]


def test_swap_lets_one_of_two_writers_win(bucket: Bucket, elsewhere: Bucket) -> None:
    assert bucket.swap("key", b"first", None)
    assert not bucket.swap("key", b"again", None)
    wins: list[int] = []

    def race(number: int) -> None:
        writer = bucket if number % 2 else elsewhere
        if writer.swap("key", str(number).encode(), b"first"):
            wins.append(number)

    _all_at_once(race, 8)
    assert len(wins) == 1
    assert elsewhere.read("key") == str(wins[0]).encode()
    assert not bucket.swap("key", b"late", b"first")
    assert not bucket.swap("other", b"", b"something")


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b"])
def test_a_key_cannot_leave_the_bucket(bucket: Bucket, key: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, b"x")
    for write in (
        lambda: bucket.write(key, b""),
        lambda: bucket.create(key, b""),
        lambda: bucket.swap(key, b"", None),
        lambda: bucket.adopt(key, file),
        lambda: bucket.adopt_copies({key: file}),
        lambda: bucket.fetch([key]) or bucket.path(key),
        lambda: bucket.publish(key, {"a": b""}, last="a"),
    ):
        with pytest.raises(StorageError, match="bad object key"):
            write()


def test_adopted_files_are_there_after_sync(
    bucket: Bucket, elsewhere: Bucket, tmp_path: Path
) -> None:
    for round_ in range(2):  # also over equal ones
        for n in range(20):
            bucket.adopt(f"new/{n}", a_file(tmp_path, b"%d" % n, f"{round_}-{n}"))
        bucket.sync()
    assert not list(tmp_path.glob("?-*"))
    assert (
        elsewhere.sizes("new/")
        == {f"new/{n}": len(str(n)) for n in range(20)}
        == dict(sorted(bucket.sizes().items()))
    )
    assert elsewhere.path("new/7").read_bytes() == b"7"
    bucket.sync()
    with pytest.raises(StorageError, match="not there"):
        bucket.adopt("new/other", tmp_path / "gone")


def test_adopting_a_copy_leaves_the_file_and_keeps_what_is_there(
    bucket: Bucket, elsewhere: Bucket, tmp_path: Path
) -> None:
    file = a_file(tmp_path, b"data")
    bucket.adopt_copies({"a/key": file, "b/key": file})
    bucket.adopt_copies({"a/key": a_file(tmp_path, b"other", "2")})
    assert file.read_bytes() == elsewhere.read("a/key") == elsewhere.read("b/key") == b"data"


def test_fetched_objects_are_at_hand_and_missing_ones_left_out(
    bucket: Bucket, elsewhere: Bucket
) -> None:
    for n in range(40):
        bucket.write(f"f/{n}", b"%d" % n)
    told: list[tuple[int, int]] = []
    elsewhere.fetch(
        [*(f"f/{n}" for n in range(40)), "f/none"],
        lambda _, done, total: told.append((done, total)),
    )
    assert [elsewhere.path(f"f/{n}").read_bytes() for n in range(40)] == [
        b"%d" % n for n in range(40)
    ]
    assert not elsewhere.path("f/none").exists()
    assert told in ([], [(n, 41) for n in range(1, 42)])


def test_a_folder_is_published_once_and_whole(
    bucket: Bucket, elsewhere: Bucket, tmp_path: Path
) -> None:
    files = {"a": a_file(tmp_path, b"A"), "b": b"B", "end": b"E"}
    assert bucket.published("v/", last="end") == bucket.claimed("v/") == []
    assert bucket.publish("v/1", files, last="end")
    assert not elsewhere.publish("v/1", {"end": b"other"}, last="end")
    assert elsewhere.published("v/", last="end") == elsewhere.claimed("v/") == ["v/1"]
    folder = elsewhere.folder("v/1", ["a", "end"])
    assert (folder / "a").read_bytes() == b"A"
    assert (folder / "end").read_bytes() == b"E"
    assert elsewhere.read("v/1/b") == b"B"
    assert list(bucket.list("v/")) == ["v/1/a", "v/1/b", "v/1/end"]


def test_two_publishers_of_one_key_never_mix(bucket: Bucket, elsewhere: Bucket) -> None:
    wins: list[int] = []

    def race(number: int) -> None:
        writer = bucket if number % 2 else elsewhere
        data = str(number).encode()
        if writer.publish("v/1", {"a": data, "b": data, "end": data}, last="end"):
            wins.append(number)

    _all_at_once(race, 6)
    assert len(wins) == 1
    assert {bucket.read(f"v/1/{name}") for name in ("a", "b", "end")} == {str(wins[0]).encode()}


def test_a_bucket_can_be_handed_to_another_process(bucket: Bucket) -> None:
    bucket.write("key", b"data")
    assert pickle.loads(pickle.dumps(bucket)).read("key") == b"data"  # noqa: S301 - our own


def _all_at_once(do: object, count: int) -> None:
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            do(number)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
