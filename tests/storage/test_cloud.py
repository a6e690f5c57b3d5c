"""A bucket far away: its cache, what a fault leaves, and what a person is told."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.object_stores import ObjectStore

from doggo.core.errors import StorageError, UsageError
from doggo.storage.buckets import Bucket, open_bucket
from doggo.storage.cloud import CloudBucket

Store = ObjectStore


@pytest.fixture(params=["gcs", "s3"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    found: Store = request.getfixturevalue(f"{request.param}_store")
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


@dataclass
class Faults:
    """What the proxy does to requests that match: once for each entry, in order."""

    matches: Callable[[str, str], bool] = lambda method, path: True
    todo: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


@contextmanager
def proxy(target: str, faults: Faults) -> Iterator[str]:
    """Stand between a client and a store: `500`, `cut` (a body ends early) or `flip` (a bit)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def _pass(self) -> None:
            body = self._body()
            faults.seen.append(f"{self.command} {self.path}")
            hit = faults.todo.pop(0) if self._is_hit() else ""
            if hit == "500":
                self._answer(503, [], b"try later")
                return
            headers = dict(self.headers)
            headers.pop("Transfer-Encoding", None)
            headers.setdefault("Content-Type", "application/octet-stream")  # not urllib's own
            request = urllib.request.Request(  # noqa: S310
                target + self.path, body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    status, said, data = answer.status, answer.headers.items(), answer.read()
            except urllib.error.HTTPError as error:
                status, said, data = error.code, error.headers.items(), error.read()
            if hit == "flip":
                data = bytes([data[0] ^ 1]) + data[1:]
            self._answer(status, said, data, cut=hit == "cut")

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _is_hit(self) -> bool:
            return bool(faults.todo) and faults.matches(self.command, self.path)

        def _answer(
            self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            lengths = [value for name, value in headers if name.lower() == "content-length"]
            size = lengths[0] if self.command == "HEAD" and lengths else len(data)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reads(method: str, path: str) -> bool:
    return method == "GET" and "key" in path and not path.startswith("/storage/v1/b/")  # metadata


def writes(method: str, path: str) -> bool:
    return (method == "POST" and "/upload/" in path) or (method == "PUT" and "key" in path)


@pytest.mark.parametrize("fault", ["500", "cut", "flip"])
def test_a_read_that_fails_is_tried_again(
    store: Store, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store.new_bucket()
    open_bucket(url, cache=tmp_path / "a").write("key", b"data" * 500_000)
    faults = Faults(reads, [fault])
    with proxy(store.endpoint, faults) as through:
        for name, value in store.through(through).items():
            monkeypatch.setenv(name, value)
        bucket = open_bucket(url, cache=tmp_path / "b")
        bucket.fetch(["key"])
        assert bucket.path("key").read_bytes() == b"data" * 500_000
    assert not faults.todo
    assert not list((tmp_path / "b").rglob(".tmp*"))


def test_a_write_that_fails_is_tried_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store.new_bucket()
    faults = Faults(writes, ["500"])
    with proxy(store.endpoint, faults) as through:
        for name, value in store.through(through).items():
            monkeypatch.setenv(name, value)
        bucket = open_bucket(url, cache=tmp_path / "b")
        file = tmp_path / "file"
        file.write_bytes(b"data")
        bucket.adopt("key", file)
        bucket.sync()
        assert bucket.read_stored("key") == b"data"
    assert not faults.todo


def test_a_file_goes_up_with_one_request_and_is_not_fetched_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"key-{n}": tmp_path / f"file-{n}" for n in range(3)}
    for file in files.values():
        file.write_bytes(b"data")
    url = store.new_bucket()
    faults = Faults()
    with proxy(store.endpoint, faults) as through:
        for name, value in store.through(through).items():
            monkeypatch.setenv(name, value)
        bucket = open_bucket(url, cache=tmp_path / "b")
        bucket.adopt_copies(files)
        assert [bucket.path(key).read_bytes() for key in files] == [b"data"] * 3
    assert len(faults.seen) == len(files)
    assert all(file.exists() for file in files.values())


def test_what_was_used_is_kept_and_not_asked_for_again(store: Store, tmp_path: Path) -> None:
    url = store.new_bucket()
    writer, reader = (open_bucket(url, cache=tmp_path / name) for name in "ab")
    writer.write("key", b"data")
    assert reader.path("key").read_bytes() == b"data"
    again = open_bucket(url, cache=tmp_path / "b")
    assert again.path("key").parent == reader.root
    writer.delete("key")
    assert again.path("key").read_bytes() == b"data"
    with pytest.raises(StorageError, match="it is not there"):
        again.read_stored("key")


def test_a_full_cache_lets_the_oldest_go_but_nothing_in_use(store: Store, tmp_path: Path) -> None:
    bucket = open_bucket(store.new_bucket(), cache=tmp_path / "a")
    keys = [f"key-{n}" for n in range(4)]
    for age_h, key in zip((0, 3, 2, 4), keys, strict=True):
        bucket.write(key, b"x" * 100)
        used_at = time.time() - 3600 * age_h
        os.utime(bucket.path(key), (used_at, used_at))
    bucket.trim(250)
    assert sorted(path.name for path in bucket.root.iterdir()) == ["key-0", "key-2"]
    bucket.trim(0)
    assert [path.name for path in bucket.root.iterdir()] == ["key-0"]
    assert bucket.read("key-3") == b"x" * 100


def test_a_cache_is_trimmed_while_another_process_downloads_into_it(
    store: Store, tmp_path: Path
) -> None:
    # The other process is a thread that does to the files what `fetch` and `sync` do to them.
    bucket = open_bucket(store.new_bucket(), cache=tmp_path)
    done = threading.Event()

    def download() -> None:
        for n in itertools.cycle(range(8)):
            if done.is_set():
                return
            pending = bucket.root / ".tmp-pending"
            pending.mkdir(parents=True, exist_ok=True)
            part = pending / f".tmp-part-{n}"
            part.write_bytes(b"x")
            part.replace(bucket.root / f"key-{n}")
            shutil.rmtree(pending)

    other = threading.Thread(target=download)
    other.start()
    try:
        for _ in range(300):
            bucket.trim(0)
    finally:
        done.set()
        other.join()


def test_trimming_leaves_what_is_under_way_and_the_locks(store: Store, tmp_path: Path) -> None:
    bucket = open_bucket(store.new_bucket(), cache=tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"data")
    bucket.adopt("key", file)  # not uploaded yet: this is the only copy
    bucket.write("whole", b"data")
    bucket.path("whole")
    (bucket.root / ".lock").touch()
    for path in bucket.root.rglob("*"):
        os.utime(path, (0, 0))
    bucket.trim(0)
    bucket.sync()
    assert sorted(path.name for path in bucket.root.iterdir()) == [".lock", "key"]


def test_a_killed_writer_leaves_a_claim_that_counts_for_nothing(
    store: Store, tmp_path: Path
) -> None:
    url = store.new_bucket()
    script = (
        "import os, signal, sys; from pathlib import Path;"
        "from doggo.storage.buckets import open_bucket;"
        "b = open_bucket(sys.argv[1], cache=Path(sys.argv[2]));"
        "up = b._remote.upload;"
        "b._remote.upload = lambda files: (up(files), os.kill(os.getpid(), signal.SIGKILL));"
        "b.publish('v/1', {'a': Path(sys.argv[3]), 'end': b'E'}, last='end')"
    )
    file = tmp_path / "file"
    file.write_bytes(b"A")
    ended = subprocess.run(
        [sys.executable, "-c", script, url, str(tmp_path / "a"), str(file)], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    bucket = open_bucket(url, cache=tmp_path / "b")
    assert bucket.published("v/", last="end") == []
    assert bucket.claimed("v/") == ["v/1"]
    assert not bucket.publish("v/1", {"end": b"E"}, last="end")
    assert bucket.publish("v/2", {"a": file, "end": b"E"}, last="end")


def test_a_failed_sync_keeps_what_is_pending(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store.new_bucket()
    bucket = open_bucket(url, cache=tmp_path / "a")
    assert isinstance(bucket, CloudBucket)
    file = tmp_path / "file"
    file.write_bytes(b"data")
    bucket.adopt("key", file)
    pending = next(path for path in bucket.root.rglob("key"))
    aside = pending.rename(tmp_path / "aside")
    with pytest.raises(StorageError, match="cannot write to"):
        bucket.sync()
    assert not bucket.exists("key")
    aside.rename(pending)
    bucket.sync()
    assert bucket.read_stored("key") == b"data"


def test_a_bucket_that_is_not_there_is_one_line(store: Store, tmp_path: Path) -> None:
    bucket = open_bucket(f"{store.scheme}://no-such-bucket-here", cache=tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"data")
    bucket.adopt("key", file)
    for use in (bucket.sync, lambda: bucket.write("key", b""), lambda: list(bucket.list())):
        with pytest.raises(StorageError, match=r"no such bucket: make \w+://no-such-bucket-here"):
            use()


def test_a_server_that_is_gone_is_one_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcsfs.core.GCSFileSystem.retries", 1, raising=False)
    for name, value in store.through("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("asyncio.sleep", _no_pause)
    bucket = open_bucket(f"{store.scheme}://bucket-one", cache=tmp_path)
    with pytest.raises(StorageError, match=r"cannot read .*run the same command again"):
        bucket.read("key")


_sleep = __import__("asyncio").sleep


async def _no_pause(seconds: float, *args: object) -> None:
    await _sleep(0)


def test_a_full_disk_under_the_cache_is_one_line(
    store: Store, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    url = store.new_bucket()
    open_bucket(url, cache=tmp_path / "a").write("key", b"x" * 600_000)
    bucket = open_bucket(url, cache=small_disk("256k"))
    with pytest.raises(StorageError, match="the disk is full; free some space"):
        bucket.fetch(["key"])
    assert not list(bucket.root.rglob("*key*"))
    assert bucket.read("key") == b"x" * 600_000


def test_no_credentials_is_one_line(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_store.endpoint)
    bucket: Bucket = open_bucket("s3://bucket-one", cache=tmp_path)
    with pytest.raises(StorageError, match="no S3 credentials that work: set AWS_ACCESS_KEY_ID"):
        bucket.read("key")


def test_a_url_without_a_bucket_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names no bucket: write gs://BUCKET"):
        open_bucket("gs://", cache=tmp_path)
