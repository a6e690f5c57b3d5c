"""Intake and preprocess under kill -9, a full disk, a dying decoder and a second intake."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.commands import decoding_processes
from tests.homes import Home, counts, drawn_folder, jpeg, near, write_folder

from doggo.core.errors import StorageError
from doggo.intake.run import intake
from doggo.storage.buckets import Bucket

REPOSITORY = Path(__file__).resolve().parents[2]


def start(home: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.intake.faults", str(home), str(folder), *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def folder_with_everything(root: Path, photos: int) -> Path:
    """Distinct pictures, exact and near duplicates, conflicts and broken files."""
    folder = drawn_folder(root, breeds=4, photos=photos)
    extra = [jpeg(1), near(2), jpeg(1003), near(2004), jpeg(5)[:700], jpeg(6, size_px=(80, 50))]
    return write_folder(folder / "more", {"affenpinscher": extra, "boxer": [jpeg(7), near(3005)]})


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody kills."""

    folder: Path
    state: dict[str, object]
    photo_ids: list[str]
    raw_objects: int
    take_in_s: float
    prepare_s: float

    @classmethod
    def of(cls, folder: Path, root: Path) -> Undisturbed:
        home = Home.open(root)
        began = time.monotonic()
        home.take_in(folder)
        taken_in = time.monotonic()
        photo_ids = [row.photo_id for row in home.prepare().rows]
        return cls(
            folder,
            home.state(),
            photo_ids,
            raw_objects(root),
            take_in_s=taken_in - began,
            prepare_s=time.monotonic() - taken_in,
        )

    def check(self, root: Path) -> None:
        """One more run completes the killed ones, and leaves the same."""
        home = Home.open(root)
        home.take_in(self.folder)
        manifest = home.prepare()
        assert home.state() == self.state
        assert [row.photo_id for row in manifest.rows] == self.photo_ids
        assert not [path for path in home.spool.rglob("*") if path.is_file()]
        shards = {row.shard for row in manifest.rows}
        assert shards == set(home.processed.list("shards/")), "a shard was lost or left behind"
        home.store.engine.dispose()


def raw_objects(root: Path) -> int:
    return len(list(Bucket(root / "raw").list()))


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # init may take seconds to reap it
    except psutil.NoSuchProcess:
        return False


def kill_once(root: Path, undisturbed: Undisturbed, rng: random.Random) -> None:
    """Kill a run somewhere in its work: from its first file on, or while it preprocesses."""
    there, everything = raw_objects(root), undisturbed.raw_objects
    # In the first half of what is left, and soon: a quick machine would be done with all of it.
    wanted = rng.randrange(there, there + (everything - there + 1) // 2)
    within_s = undisturbed.take_in_s / 20
    if rng.random() < 0.2:
        wanted, within_s = everything, undisturbed.prepare_s
    process = start(root, undisturbed.folder, "--prepare")
    assert process.stdout is not None
    process.stdout.readline()  # the imports are over, the work begins
    while raw_objects(root) < wanted and process.poll() is None:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, within_s))
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(is_alive(child) for child in children):
        assert time.monotonic() < deadline, "decoding processes outlived their parent"
        time.sleep(0.005)


def kill_again_and_again(tmp_path: Path, kills: int, photos: int, seed: int) -> None:
    folder_with_everything(tmp_path / "photos", photos)
    undisturbed = Undisturbed.of(tmp_path / "photos", tmp_path / "undisturbed")
    rng, root, halfway = random.Random(seed), tmp_path / "home", 0
    for _ in range(kills):
        kill_once(root, undisturbed, rng)
        there = raw_objects(root)
        halfway += 0 < there < undisturbed.raw_objects
        if there == undisturbed.raw_objects:
            undisturbed.check(root)
            shutil.rmtree(root)  # there is nothing more to disturb
    undisturbed.check(root)
    assert halfway > kills / 2, f"only {halfway} of {kills} kills hit a half-done intake"


def test_five_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=5, photos=50, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=50, photos=100, seed=2)


def test_a_full_disk_is_one_line_and_the_next_run_completes(
    tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    first = drawn_folder(tmp_path / "first", breeds=1, photos=2)
    folder = drawn_folder(tmp_path / "photos", breeds=4, photos=60)
    undisturbed = Home.open(tmp_path / "undisturbed")
    undisturbed.take_in(first)
    undisturbed.take_in(folder)
    disk = small_disk("12m")
    home = Home.open(disk / "home")
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:  # as if another program filled it meanwhile
        patch.setattr("doggo.storage.disk.free_bytes", lambda path: 10**12)
        home.take_in(first)
        with pytest.raises(StorageError, match="disk is full"):
            home.take_in(folder)
    assert not [p for p in (home.spool / "staging").rglob("*") if p.is_file()]
    home.store.engine.dispose()
    larger = tmp_path / "larger"
    shutil.copytree(disk / "home", larger)
    home = Home.open(larger)
    home.take_in(first)
    home.take_in(folder)
    assert home.state() == undisturbed.state()
    assert len(home.prepare().rows) == 240


@pytest.mark.parametrize("small", ["raw", "spool"])
def test_each_disk_is_asked_for_room_for_what_goes_there(
    tmp_path: Path, small_disk: Callable[[str], Path], small: str
) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=8)
    home = Home.open(tmp_path / "home")
    disk = small_disk("65m")  # the headroom of 64, and one for 8 photos of 10 kB or 4 of pixels
    places = {"raw": home.raw, "spool": home.spool}
    places[small] = Bucket(disk / "raw") if small == "raw" else disk / "spool"
    options: dict[str, Any] = {"store": home.store, "workers": 1, **places}
    if small == "raw":
        assert counts(intake([folder], **options)) == {"added": 8}
    else:
        with pytest.raises(StorageError, match=rf"{disk}/spool: \d MB .* the pixels of 8 photos"):
            intake([folder], **options)
        assert not list(home.raw.list())


def test_a_disk_that_fills_up_in_preprocess_is_one_line_and_the_next_run_completes(
    tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    undisturbed = Home.open(tmp_path / "home")
    undisturbed.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=40))
    disk = small_disk("4m")  # the bucket's pixels at 128 px take 5
    full = replace(undisturbed, processed=Bucket(disk / "processed"))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:  # as if another program filled it meanwhile
        patch.setattr("doggo.storage.disk.free_bytes", lambda path: 10**12)
        with pytest.raises(StorageError, match="disk is full"):
            full.prepare(short_side_px=128)
    assert not list(full.processed.list("manifests/"))
    assert not list(disk.rglob(".tmp*"))
    shutil.copytree(disk / "processed", tmp_path / "larger")
    larger = replace(full, processed=Bucket(tmp_path / "larger"))
    rows = larger.prepare(short_side_px=128).rows
    assert rows == undisturbed.prepare(short_side_px=128).rows


def test_a_second_intake_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=4, photos=60)
    home = Home.open(tmp_path / "home")
    with home.store.exclusive("intake"):
        process = start(tmp_path / "home", folder)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot start intake: intake (process " in complaint
    assert len(complaint.splitlines()) == 1
    assert counts(home.take_in(folder)) == {"added": 240}


def test_two_intakes_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=4, photos=60)
    processes = [start(tmp_path / "home", folder) for _ in range(2)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert {code for _, code in ended} <= {0, 1}
    assert any(code == 0 for _, code in ended)
    assert all(len(complaint.splitlines()) == 1 for (_, complaint), code in ended if code)
    home = Home.open(tmp_path / "home")
    assert counts(home.take_in(folder)) == {"already_present": 240}


def test_a_killed_decoder_does_not_stop_the_run(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=4, photos=100)
    home = Home.open(tmp_path / "home")
    killed: list[int] = []

    def kill_one(stage: str, done: int, total: int) -> None:
        if done and not killed:
            victim = decoding_processes()[0]
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)

    assert counts(home.take_in(folder, progress=kill_one)) == {"added": 400}
    assert killed
    assert len(home.prepare().rows) == 400
