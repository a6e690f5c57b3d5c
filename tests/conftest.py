"""Fixtures that the whole suite shares: where the photos are, and how to make some."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from tests import object_stores
from tests.object_stores import ObjectStore
from tests.postgres import PostgresServer, postgres

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"../shared/{name} is not here: this check needs its real pictures")
    return folder


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of 7,200 real photos, BREED/ID.jpg."""
    return _shared("photos")


@pytest.fixture(scope="session")
def hostile_images() -> Path:
    """The folder of odd and broken pictures with its INDEX.csv."""
    return _shared("hostile_images")


@pytest.fixture(scope="session")
def foolbox_photos() -> list[Path]:
    """Twenty real ImageNet photos (MIT) of the foolbox package, two of them dogs.

    Read from its folder: importing the package would load frameworks that we do not need.
    """
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return sorted(folder.glob("imagenet_*.jpg"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts disks that fill up: give a size such as `256k`, get a folder."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, check=False).returncode:
            pytest.skip("cannot mount a small tmpfs here: the full-disk check needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def gcs_store() -> Iterator[ObjectStore]:
    """A real Google Cloud Storage server on loopback."""
    with object_stores.gcs() as store:
        yield store


@pytest.fixture(scope="session")
def s3_store() -> Iterator[ObjectStore]:
    """A real S3 server on loopback."""
    with object_stores.s3() as store:
        yield store


@pytest.fixture(scope="session")
def bootstrap_bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A real sealed bundle: lite0's ImageNet head for 120 breeds. Made once for all workers."""
    root = tmp_path_factory.getbasetemp()
    shared = root if worker_id == "master" else root.parent
    bundle = shared / "bootstrap-bundle"
    with FileLock(shared / "bootstrap-bundle.lock"):
        if not bundle.exists():
            from doggo.export.run import export
            from doggo.train.bootstrap import bootstrap_candidate

            candidate = bootstrap_candidate("efficientnet_lite0", shared / "bootstrap-candidate")
            export(candidate, bundle)
    return bundle


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL on loopback, one a test process."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def chat_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database for the bot, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bot.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database(f"bot_{secrets.token_hex(8)}")
