"""The official archives, from a mirror to a dataset with the official test."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.archives import write_tar
from tests.homes import Home, jpeg
from tests.preprocess.test_stanford import write_lists

from doggo.apps.download import Published
from doggo.apps.stanford_dogs import FILES, fetch
from doggo.core.progress import silent
from doggo.core.records import Split


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A small set after the official layout, served by Python's own file server."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    names = [f"n02085620-Chihuahua/n02085620_{number}.jpg" for number in range(8)]
    photos = [(f"Images/{name}", jpeg(number)) for number, name in enumerate(names)]
    write_tar(folder / "images.tar", photos)
    write_lists(folder / "lists.tar", names[:6], names[6:])
    handler = partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_from_a_mirror_to_a_dataset(mirror: str, tmp_path: Path) -> None:
    files = [
        Published(
            name=path.name,
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted((tmp_path / "mirror").iterdir(), reverse=True)
    ]
    assert [file.name for file in files] == [file.name for file in FILES]
    lists, images = fetch(tmp_path / "dogs", silent, url=mirror, files=files)
    home = Home.open(tmp_path / "home")
    home.take_in(images)
    made = home.prepare(stanford_lists=lists)
    assert made.breeds == ("chihuahua",)
    assert (len(made.rows), len(made.of(Split.TEST))) == (8, 2)
