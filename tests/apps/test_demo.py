"""The demo shows what a user gets, checks it, ends by itself, and replaces nobody's model."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.canned import Canned
from tests.tiny_bundle import make_bundle

from doggo import wiring
from doggo.apps.demo import Asked, offered, wrong_answers
from doggo.apps.demo_guard import protect
from doggo.apps.demo_process import Server
from doggo.apps.drawn import write_drawn
from doggo.core.errors import DoggoError, UsageError
from doggo.registry.run import promote, register
from doggo.settings import Settings
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore

ROOT = Path(__file__).resolve().parents[2]


def _asked(photo: str, verdict: str, best: str) -> Asked:
    return Asked(photo=photo, known="", verdict=verdict, breeds=((best, 0.9),), latency_ms=1.0)


GOOD = (
    _asked("imagenet_00_243.jpg", "breed", "bull_mastiff"),
    _asked("imagenet_16_251.jpg", "unsure", "english_setter"),
    _asked("imagenet_01_559.jpg", "not_a_dog", "pug"),
)


@pytest.mark.parametrize(
    "bad",
    [
        _asked("imagenet_00_243.jpg", "breed", "boxer"),
        _asked("imagenet_00_243.jpg", "unsure", "bull_mastiff"),
        _asked("imagenet_16_251.jpg", "breed", "english_setter"),
        _asked("imagenet_01_559.jpg", "unsure", "pug"),
    ],
    ids=["bull_mastiff_misnamed", "bull_mastiff_unsure", "dalmatian_misnamed", "chair_named"],
)
def test_an_answer_that_must_not_be_given_is_told(bad: Asked) -> None:
    assert wrong_answers(GOOD) == []
    assert len(wrong_answers([*GOOD, bad])) == 1


def _demo(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "DOGGO" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "doggo.apps.demo", *arguments],
        cwd=folder,
        env={**environment, "DOGGO_HOME": str(folder / "home"), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=280)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # the commands that it runs as well
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _check_what_is_shown_without_photos(shown: str, home: Path) -> None:
    lines = shown.splitlines()
    asked = [line for line in lines if line.startswith("imagenet_")]
    assert len(asked) == 20
    assert sum("not_a_dog" in line for line in asked) >= 18
    assert any("Bull Mastiff" in line and "breed" in line for line in asked)
    assert "Drawn pictures: checks the machinery; says nothing about dogs" in lines
    for stage in ("doggo bootstrap", "server ready", "20 real photos over", "doggo run (drawn)"):
        assert any(line.startswith(stage) for line in lines), stage
    report = next(line.split()[-1] for line in lines if line.startswith("report"))
    assert Path(report).is_file()
    assert any("run FOLDER" in line for line in lines)
    # The drawn breeds stay in a home of their own.
    assert not list(home.rglob("*drawn_*"))


def _made_by_demo(home: Path) -> list[str]:
    made: list[str] = json.loads((home / "demo.json").read_text())["sha256"]
    return made


def test_a_stranger_sees_it_with_photos_then_without_and_keeps_a_model(tmp_path: Path) -> None:
    # One test, since each step stands on the one before and takes half a minute.
    home, photos = tmp_path / "home", tmp_path / "photos"
    list(write_drawn(photos, breeds=4, pictures=12))
    for folder in list(photos.iterdir()):
        folder.rename(photos / folder.name.replace("drawn", "given"))
    given = _demo(tmp_path, "--photos", str(photos))
    assert given.returncode == 0, given.stderr
    assert "4 photos of the test split over HTTP" in given.stdout
    assert (home / "buckets" / "raw" / "given_rings").is_dir()
    assert len(_made_by_demo(home)) == 1

    # The model of 120 breeds takes the place of the one of four.
    without = _demo(tmp_path)
    assert without.returncode == 0, without.stderr
    _check_what_is_shown_without_photos(without.stdout, home)
    assert len(_made_by_demo(home)) == 2

    # A production model that the demo did not make is somebody's own.
    (home / "demo.json").unlink()
    before = sorted(home.rglob("*"))
    refused = _demo(tmp_path, "--photos", str(photos))
    assert refused.returncode == 2
    assert "FORCE=1" in refused.stderr
    assert sorted(home.rglob("*")) == before

    forced = _demo(tmp_path, "--photos", str(photos), "--force")
    assert forced.returncode == 0, forced.stderr
    assert len(_made_by_demo(home)) == 1


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """A bundle store away from the demo's home, with somebody's model in production."""
    bundles = BundleStore(Bucket(tmp_path / "elsewhere"))
    promote(bundles, register(bundles, make_bundle(tmp_path / "b"), metrics={}), why="mine")
    return bundles


def test_a_model_in_a_bundle_store_elsewhere_is_kept_too(
    store: BundleStore, tmp_path: Path
) -> None:
    home, before = tmp_path / "home", store.production()
    elsewhere = {"DOGGO_BUNDLE_BUCKET": store.bucket.url, "DEMO_DOWNLOAD": "0"}
    refused = _demo(tmp_path, **elsewhere)
    assert (refused.returncode, home.exists()) == (2, False), refused.stderr
    # The demo's own version 1, of another store, says nothing about this version 1.
    home.mkdir()
    (home / "demo.json").write_text('{"sha256": ["00"], "versions": [1]}')
    refused = _demo(tmp_path, **elsewhere)
    assert refused.returncode == 2, refused.stderr
    assert "version 1" in refused.stderr
    assert store.bucket.url in refused.stderr
    assert store.production() == before


def test_force_lets_the_demo_replace_it(
    store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home", bundle_bucket=store.bucket.url, _env_file=None)  # type: ignore[call-arg]
    monkeypatch.setattr(wiring, "settings", lambda: settings)
    with pytest.raises(UsageError, match="FORCE=1"):
        protect(settings, force=False)
    protect(settings, force=True)


class _Terminal(io.StringIO):
    """Somebody who types a line."""

    def isatty(self) -> bool:
        return True


_NO_NETWORK = "http://127.0.0.1:9/set.tgz"


@pytest.mark.parametrize(
    ("typed", "wanted", "fetched"),
    [
        ("y\n", "", True), ("YES\n", "", True), ("n\n", "", False), ("\n", "", False),
        ("", "", False), (None, "", False), (None, "1", True), (None, "0", False),
    ],
    ids=["y", "yes", "n", "enter", "gone", "nobody", "nobody_but_set", "nobody_and_0"],
)  # fmt: skip
def test_a_download_is_offered_and_waits_for_a_yes(
    imagewoof_host: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str | None,
    wanted: str,
    fetched: bool,
) -> None:
    monkeypatch.setenv("DEMO_DOWNLOAD", wanted)
    monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else _Terminal(typed))
    sha256 = hashlib.sha256((tmp_path / "host" / "set.tgz").read_bytes()).hexdigest()
    data = tmp_path / "data"
    folders = offered(data, url=f"{imagewoof_host}/set.tgz", sha256=sha256)
    assert folders == ([data / "imagewoof2-160" / side for side in ("train", "val")] * fetched)
    assert data.exists() == fetched
    asked = capsys.readouterr().err
    assert ("[y/N]" in asked) == ("non-commercial" in asked) == (typed is not None)
    # What is there is not asked of the network again.
    if typed is not None and fetched:
        monkeypatch.setattr("sys.stdin", _Terminal(typed))
        assert offered(data, url=_NO_NETWORK) == folders


@pytest.mark.parametrize("wanted", ["", "1"])
def test_without_a_network_nothing_is_offered(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wanted: str,
) -> None:
    monkeypatch.setenv("DEMO_DOWNLOAD", wanted)
    monkeypatch.setattr("sys.stdin", _Terminal("y\n"))
    assert offered(tmp_path / "data", url=_NO_NETWORK) == []
    said = capsys.readouterr().err
    assert said == "no photos given, and no network to fetch any: showing what needs neither\n"
    assert not (tmp_path / "data").exists()


_UNSURE = {"verdict": "unsure", "breeds": [{"breed": "pug", "probability": 0.4}]}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"), (503, json.dumps(_UNSURE).encode()), (202, json.dumps(_UNSURE).encode()),
        (204, b""), (200, b""), (200, b"{}"), (200, b"[]"), (200, b"null"),
        (200, b'{"verdict": "cat", "breeds": []}'), (200, b'{"verdict": "breed", "breeds": []}'),
    ],
)  # fmt: skip
def test_an_answer_without_a_verdict_ends_the_demo(
    tmp_path: Path, status: int, body: bytes
) -> None:
    server = Server(tmp_path)
    with Canned({"/v1/predict": (status, body)}) as canned:
        server.url = canned.url
        with pytest.raises(DoggoError, match=f"/v1/predict answered {status}"):
            server.predict(b"a photo")
        canned.answers["/v1/predict"] = (200, json.dumps(_UNSURE).encode())
        assert server.predict(b"a photo") == _UNSURE
    with pytest.raises(DoggoError, match="was not answered"):
        server.predict(b"a photo")  # nobody listens any more


def test_real_photos_in_folders_become_a_model_that_answers(
    shared_photos: Path, tmp_path: Path
) -> None:
    for breed in sorted(shared_photos.iterdir())[:6]:
        (tmp_path / "photos" / breed.name).mkdir(parents=True)
        for photo in sorted(breed.iterdir())[:20]:
            (tmp_path / "photos" / breed.name / photo.name).symlink_to(photo)
    done = _demo(tmp_path, "--photos", str(tmp_path / "photos"))
    assert done.returncode == 0, done.stderr
    assert "6 photos of the test split over HTTP" in done.stdout
    right = re.search(r"^(\d) of 6 as the folder says", done.stdout, re.MULTILINE)
    assert right is not None
    assert int(right[1]) >= 4, done.stdout


def test_a_folder_without_photos_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = _demo(tmp_path, "--photos", str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "empty") in done.stderr
