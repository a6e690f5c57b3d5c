"""A home that one real `doggo run` over drawn pictures has furnished; a host of photos."""

from __future__ import annotations

import http.server
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.commands import run_doggo

from doggo.apps.drawn import drawn_jpeg, write_drawn

BREEDS, PICTURES = 5, 14


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five drawn breeds of fourteen pictures each."""
    folder = tmp_path_factory.mktemp("drawn")
    list(write_drawn(folder, breeds=BREEDS, pictures=PICTURES))
    return folder


@pytest.fixture(scope="session")
def finished_run(
    drawn_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A home after `doggo run`, and what the run printed."""
    home = tmp_path_factory.mktemp("run") / "home"
    done = run_doggo(home, "run", drawn_folder, "--json")
    assert done.code == 0, done.err
    return home, done.json()


@pytest.fixture
def home(finished_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of the furnished home that a test may change."""
    copy = tmp_path / "home"
    shutil.copytree(finished_run[0], copy)
    return copy


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
        """Say nothing."""


@pytest.fixture
def imagewoof_host(tmp_path: Path) -> Iterator[str]:
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
