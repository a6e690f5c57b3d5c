"""A download arrives whole or goes on later; what is not the file never gets its name."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.apps.file_host import FileHost, serving
from tests.commands import run_doggo

from doggo.apps.download import Published, download
from doggo.core.errors import InputError, StorageError, UsageError
from doggo.core.progress import silent

DATA = random.Random(1).randbytes(3_000_000)
FILE = Published(name="images.tar", size_bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
NO_PAUSES = (0.0, 0.0, 0.0)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with serving(FileHost(DATA)) as running:
        yield running


def get(host: FileHost, folder: Path) -> Path:
    return download(f"{host.url}/images.tar", FILE, folder, silent, pauses_s=NO_PAUSES)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_it_arrives_once(host: FileHost, tmp_path: Path) -> None:
    assert get(host, tmp_path).read_bytes() == DATA
    assert visible(tmp_path) == {"images.tar"}
    assert get(host, tmp_path) == tmp_path / "images.tar"
    assert host.asked == [""]


def test_a_server_that_cuts_is_asked_for_the_rest(host: FileHost, tmp_path: Path) -> None:
    host.cut_after = [1_000_000, 500_000]
    assert get(host, tmp_path).read_bytes() == DATA
    assert host.asked == ["", "bytes=1000000-", "bytes=1500000-"]


def test_without_ranges_it_begins_anew(host: FileHost, tmp_path: Path) -> None:
    host.ranges, host.cut_after = False, [1_000_000]
    assert get(host, tmp_path).read_bytes() == DATA
    assert host.asked == ["", "bytes=1000000-"]


def test_a_file_that_changed_meanwhile_begins_anew(host: FileHost, tmp_path: Path) -> None:
    host.data, host.etag, host.cut_after = bytes(len(DATA)), '"old"', [1_000_000] * 9
    host.ranges = False
    with pytest.raises(InputError, match="goes on after"):
        get(host, tmp_path)
    host.data, host.etag, host.cut_after, host.ranges = DATA, '"new"', [], True
    assert get(host, tmp_path).read_bytes() == DATA


def test_a_server_in_trouble_is_asked_again(host: FileHost, tmp_path: Path) -> None:
    host.statuses = [503, 429, 500]
    assert get(host, tmp_path).read_bytes() == DATA


def test_a_server_that_stays_in_trouble_is_given_up(host: FileHost, tmp_path: Path) -> None:
    host.statuses = [503] * 9
    with pytest.raises(InputError, match=r"answered 503.*run the same command again"):
        get(host, tmp_path)
    assert len(host.asked) == 1 + len(NO_PAUSES)
    assert visible(tmp_path) == set()


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"failed: .*refused"):
        download("http://127.0.0.1:9/images.tar", FILE, tmp_path, silent, pauses_s=NO_PAUSES)


def test_a_file_that_is_not_there_is_not_asked_for_twice(host: FileHost, tmp_path: Path) -> None:
    host.statuses = [404]
    with pytest.raises(InputError, match="answered 404"):
        get(host, tmp_path)
    assert host.asked == [""]
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_login_page_is_told_from_the_file(kind: str, tmp_path: Path) -> None:
    page = FileHost(b"<!doctype html><title>Welcome, guest</title>", kind=kind, length=False)
    with serving(page) as host, pytest.raises(InputError, match="a web page"):
        get(host, tmp_path)
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("data", [DATA + b"more", b"x" * len(DATA)], ids=["longer", "altered"])
def test_another_file_never_gets_the_name(data: bytes, length: bool, tmp_path: Path) -> None:
    with serving(FileHost(data, length=length)) as host, pytest.raises(InputError, match="file"):
        get(host, tmp_path)
    assert visible(tmp_path) == set()


def test_what_is_there_and_is_another_file_is_left_alone(host: FileHost, tmp_path: Path) -> None:
    (tmp_path / "images.tar").write_bytes(b"mine")
    with pytest.raises(InputError, match="move it away"):
        get(host, tmp_path)
    assert (tmp_path / "images.tar").read_bytes() == b"mine"


def test_a_damaged_part_is_found_out_and_begun_anew(host: FileHost, tmp_path: Path) -> None:
    (tmp_path / "images.tar.part").write_bytes(b"garbage")
    with pytest.raises(InputError, match="not the published file"):
        get(host, tmp_path)
    assert get(host, tmp_path).read_bytes() == DATA


def test_killed_in_the_middle_it_goes_on(host: FileHost, tmp_path: Path) -> None:
    host.hold = threading.Event()
    program = (
        "from pathlib import Path\n"
        "from doggo.apps.download import Published, download\n"
        "from doggo.core.progress import silent\n"
        f"file = Published(name='images.tar', size_bytes={FILE.size_bytes}, "
        f"sha256='{FILE.sha256}')\n"
        f"download('{host.url}/images.tar', file, Path({str(tmp_path)!r}), silent)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    part = tmp_path / "images.tar.part"
    while not (part.exists() and part.stat().st_size >= 1_000_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    held = part.stat().st_size
    host.hold.set()
    assert visible(tmp_path) == {"images.tar.part", "images.tar.part.json"}
    assert get(host, tmp_path).read_bytes() == DATA
    assert host.asked == ["", f"bytes={held}-"]
    assert visible(tmp_path) == {"images.tar"}


def test_two_downloads_of_one_file_do_not_meet(host: FileHost, tmp_path: Path) -> None:
    host.hold = threading.Event()
    first = threading.Thread(target=get, args=(host, tmp_path))
    first.start()
    while not host.asked:
        time.sleep(0.01)
    with pytest.raises(StorageError, match="another command"):
        get(host, tmp_path)
    host.hold.set()
    first.join()
    assert (tmp_path / "images.tar").read_bytes() == DATA


def fill(path: Path) -> None:
    """Write a file until the disk has no room left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass


def test_a_disk_that_fills_up_is_one_line_and_the_part_is_kept(
    host: FileHost, small_disk: Callable[[str], Path]
) -> None:
    folder, host.hold = small_disk("72m"), threading.Event()
    filler, refused = folder / "filler", list[Exception]()

    def run() -> None:
        try:
            get(host, folder)
        except StorageError as error:
            refused.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    part = folder / "images.tar.part"
    while not (part.exists() and part.stat().st_size >= 1_000_000):
        time.sleep(0.01)
    fill(filler)
    host.hold.set()
    thread.join()
    assert "the disk is full" in str(refused[0])
    assert part.stat().st_size >= 1_000_000
    filler.unlink()
    assert get(host, folder).read_bytes() == DATA


def test_a_disk_that_is_too_small_is_told_before(
    host: FileHost, small_disk: Callable[[str], Path]
) -> None:
    with pytest.raises(StorageError, match=r"needed for images\.tar"):
        get(host, small_disk("8m"))
    assert host.asked == []


def test_only_the_web_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http:// or https://"):
        download("file:///etc/passwd", FILE, tmp_path, silent)


def test_the_command_asks_for_the_terms_and_tells_a_wrong_mirror(
    host: FileHost, tmp_path: Path
) -> None:
    asked = run_doggo(tmp_path / "home", "data", "stanford-dogs", tmp_path / "dogs")
    assert asked.code == 2
    assert "non-commercial research" in asked.err
    assert "--yes" in asked.line()
    words = ("data", "stanford-dogs", tmp_path / "dogs", "--yes", "--url", host.url)
    refused = run_doggo(tmp_path / "home", *words)
    assert refused.code == 1
    assert "3,000,000 bytes, the published file 481,280" in refused.line()
    assert not (tmp_path / "dogs" / "lists.tar").exists()
