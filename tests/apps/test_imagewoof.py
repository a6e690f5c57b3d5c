"""The small real set is the published file, whole, or it is not there."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from doggo.apps.drawn import drawn_jpeg
from doggo.apps.imagewoof import can_be_reached, fetch
from doggo.core.breeds import BREEDS, normalise
from doggo.core.errors import InputError
from doggo.core.progress import silent


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
        """Say nothing."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback with an archive laid out like the real one."""
    folder = tmp_path / "host"
    folder.mkdir()
    with tarfile.open(folder / "set.tgz", "w:gz") as tar:
        for side in ("train", "val"):
            for wnid in ("n02086240", "n02088364"):
                data = drawn_jpeg(wnid, len(side), side_px=80)
                member = tarfile.TarInfo(f"imagewoof2-160/{side}/{wnid}/{side}_1.JPEG")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_fetched_once_and_unpacked(host: str, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((tmp_path / "host" / "set.tgz").read_bytes()).hexdigest()
    folders = fetch(tmp_path / "data", silent, url=f"{host}/set.tgz", sha256=sha256)
    found = sorted(path.parent.name for folder in folders for path in folder.rglob("*.JPEG"))
    assert found == ["n02086240", "n02086240", "n02088364", "n02088364"]
    assert all(normalise(name) in BREEDS for name in found)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"imagewoof2-160"}
    again = fetch(tmp_path / "data", silent, url=f"{host}/is-not-asked", sha256=sha256)
    assert again == folders


def test_another_file_than_the_published_one_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the published file"):
        fetch(tmp_path / "data", silent, url=f"{host}/set.tgz")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_download_that_fails_is_one_line_and_leaves_nothing(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run it again"):
        fetch(tmp_path / "data", silent, url=f"{host}/not-there.tgz")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_host_is_asked_whether_it_is_there(host: str) -> None:
    assert can_be_reached(f"{host}/set.tgz")
    assert not can_be_reached(f"{host}/not-there.tgz")
    assert not can_be_reached("http://127.0.0.1:9/set.tgz")
