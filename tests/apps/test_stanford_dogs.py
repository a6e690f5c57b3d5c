"""The official archives, from a mirror to a dataset with the official test."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.archives import write_tar
from tests.homes import Home, jpeg
from tests.preprocess.test_stanford import write_lists
from typer.testing import CliRunner

from doggo.apps.cli import app
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


@pytest.fixture
def files(mirror: str, tmp_path: Path) -> list[Published]:
    """The mirror's archives as what is published."""
    return [
        Published(
            name=path.name,
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted((tmp_path / "mirror").iterdir(), reverse=True)
    ]


def test_from_a_mirror_to_a_dataset(mirror: str, files: list[Published], tmp_path: Path) -> None:
    assert [file.name for file in files] == [file.name for file in FILES]
    lists, images = fetch(tmp_path / "dogs", silent, url=mirror, files=files)
    home = Home.open(tmp_path / "home")
    home.take_in(images)
    made = home.prepare(stanford_lists=lists)
    assert made.breeds == ("chihuahua",)
    assert (len(made.rows), len(made.of(Split.TEST))) == (8, 2)


def test_the_command_prints_where_the_archives_are(
    mirror: str, files: list[Published], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fetch.__kwdefaults__, "files", files)
    dogs = tmp_path / "dogs"
    words = ["data", "stanford-dogs", str(dogs), "--yes", "--url", mirror]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (
        0, {"images": str(dogs / "images.tar"), "lists": str(dogs / "lists.tar")}
    )  # fmt: skip
    assert "images.tar" in done.stderr  # how far the download is
    assert CliRunner().invoke(app, words).stdout == f"{dogs}/images.tar\n{dogs}/lists.tar\n"
