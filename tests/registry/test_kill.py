"""kill -9 while versions are added, promoted and rolled back: nothing is torn, lost or doubled."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.tiny_bundle import make_bundle

from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.bundle import read_bundle

BUNDLES = 6
PROMOTER = """
import sys
from pathlib import Path
from doggo.registry.run import promote, register, rollback
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.predictor import Predictor

store = BundleStore(Bucket(Path(sys.argv[1])))
folders = sorted(Path(sys.argv[2]).iterdir())
Predictor.load(folders[0])
print("ready", flush=True)
for turn in range(10_000):
    version = register(store, folders[turn % len(folders)], metrics={})
    promote(store, version, why=f"turn {turn}", force="no photos")
    if turn % 3 == 2:
        rollback(store, why=f"turn {turn}")
"""


def kill_while_promoting(store: BundleStore, bundles: Path, rng: random.Random) -> None:
    command = [sys.executable, "-c", PROMOTER, str(store.bucket.root), str(bundles)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n", process.stderr.read().decode()
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


def check_store(store: BundleStore, moves_before: int) -> int:
    """Check everything a reader could see; return how many moves the audit has."""
    versions = store.versions()
    assert versions == tuple(range(1, len(versions) + 1))
    assert len(versions) <= BUNDLES
    for version in versions:
        read_bundle(store.folder(version))
        assert store.card(version)["version"] == version
    moves = store.audit()
    assert len(moves) >= moves_before
    for before, after in itertools.pairwise(moves):
        assert after.from_version == before.to_version
    pointer = store.production()
    if pointer is not None:
        read_bundle(store.folder(pointer.version), expect_sha256=pointer.sha256)
        assert pointer.version == moves[-1].to_version
    return len(moves)


def kill_again_and_again(tmp_path: Path, times: int) -> None:
    for number in range(BUNDLES):
        make_bundle(tmp_path / "made" / f"b{number}", gain=5 + number)
    store = BundleStore(Bucket(tmp_path / "store"))
    rng, moves = random.Random(7), 0
    for _ in range(times):
        kill_while_promoting(store, tmp_path / "made", rng)
        moves = check_store(store, moves)
    assert moves > 0  # some of it did happen


def test_five_kills_over_promotions_tear_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 5)


@pytest.mark.soak
def test_fifty_kills_over_promotions_tear_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 50)
