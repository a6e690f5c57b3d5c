"""The make targets of 2023 do today what they promised: real commands in a temporary home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.canned import Canned
from tests.homes import drawn_folder
from tests.simulating import TOKEN, Simulating, wait_for
from tests.tiny_bundle import make_bundle

from doggo.registry.run import promote, register
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore

ROOT = Path(__file__).resolve().parents[1]
BUCKETS = {
    "RAW_IMAGES_BUCKET_NAME": "raw-images",
    "PROCESSED_IMAGES_BUCKET_NAME": "preprocessed-images",
    "NEW_RAW_IMAGES_BUCKET_NAME": "new-raw-images",
    "NEW_PROCESSED_IMAGES_BUCKET_NAME": "new-preprocessed-images",
}


def make(*words: str) -> list[str]:
    """The command line: the installation that runs the tests, and no set-up of another."""
    if not (Path(sys.executable).parent / "doggo").exists():
        pytest.skip("the doggo command is not beside this Python: the targets cannot be run")
    return ["make", "-C", str(ROOT), "-o", "setup", f"BIN={Path(sys.executable).parent}", *words]


def _environment() -> dict[str, str]:
    """Ours, without what a `make test ARGS=...` above us would tell this make."""
    from_above = ("MAKE", "MFLAGS", "ARGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(from_above)}


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        make(*words),
        env={**_environment(), **BUCKETS, "DOGGO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize(
    ("target", "prefix"), [("preprocess_training_files", ""), ("preprocess_new_files", "new-")]
)
def test_photos_become_a_dataset_in_the_buckets_of_the_seed(
    tmp_path: Path, target: str, prefix: str
) -> None:
    home, photos = tmp_path / "home", drawn_folder(tmp_path / "photos", breeds=2, photos=5)
    (photos / "beagle" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    done = run(home, target, f"DATA={photos}", "ARGS=--max-data 6 --delete-local")
    assert done.returncode == 0, done.stderr
    assert "dataset" in done.stdout
    raw = list(Bucket(home / "buckets" / f"{prefix}raw-images").list())
    processed = Bucket(home / "buckets" / f"{prefix}preprocessed-images")
    assert len(raw) == 10
    assert len(processed.read("meta_data.csv").splitlines()) == 1 + 6
    assert [key for key in processed.list("manifests/") if key.endswith(".parquet")]
    assert [path.name for path in photos.rglob("*.jpg")] == ["torn.jpg"]  # not safe anywhere
    assert sorted(path.name for path in (home / "buckets").iterdir()) == sorted(
        [f"{prefix}raw-images", f"{prefix}preprocessed-images", "bundles"]
    )


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "preprocess_training_files", f"DATA={tmp_path / 'new_data'}")
    assert done.returncode != 0
    assert f"doggo: no such file or folder: {tmp_path / 'new_data'}" in done.stderr


@pytest.mark.parametrize(
    ("words", "forced"),
    [
        ([], False), (["FORCE=1"], True), (["FORCE=yes"], True), (["FORCE="], False),
        (["FORCE=0"], False), (["FORCE=no"], False), (["FORCE=NO"], False),
    ],
)  # fmt: skip
def test_the_demo_is_forced_by_a_yes_alone(tmp_path: Path, words: list[str], forced: bool) -> None:
    done = run(tmp_path / "home", "-n", "demo", *words)
    assert done.returncode == 0, done.stderr
    assert "doggo.apps.demo" in done.stdout
    assert ("--force" in done.stdout.split()) is forced


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the model `colour` in production."""
    bundles = BundleStore(Bucket(tmp_path / "home" / "buckets" / "bundles"))
    version = register(bundles, make_bundle(tmp_path / "bundle"), metrics={})
    promote(bundles, version, why="a test")
    return tmp_path / "home"


def test_launch_serves_the_model_in_production(home: Path) -> None:
    server = subprocess.Popen(
        make("launch", "model=colour", "ARGS=--port 0"),
        env={**_environment(), "DOGGO_HOME": str(home), "TELE_API_KEY": ""},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert server.stderr is not None
    try:
        lines = [server.stderr.readline() for _ in range(3)]
        assert "launching colour version 1" in lines[0]
        assert "without the Telegram bot" in lines[1]
        url = next(word for word in lines[2].split() if word.startswith("http"))
        model = httpx.get(f"{url}/v1/model", trust_env=False, timeout=60).json()
        assert "colour" in str(model)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=60)


def test_launch_sets_the_webhook_to_the_tunnel_of_this_machine(home: Path) -> None:
    tunnels = b'{"tunnels": [{"public_url": "https://a1b2.ngrok.app"}]}'
    with Simulating() as telegram, Canned({"/api/tunnels": (200, tunnels)}) as ngrok:
        server = subprocess.Popen(
            make("launch", "model=colour", "ARGS=--port 0"),
            env={
                **_environment(),
                "DOGGO_HOME": str(home),
                "TELE_API_KEY": TOKEN,
                "DOGGO_TELEGRAM_URL": telegram.url,
                "DOGGO_NGROK_URL": ngrok.url,
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            wait_for(lambda: telegram.telegram.hooks.current, within_s=60)
            hook = telegram.telegram.hooks.current
            assert hook is not None
            assert hook.url == "https://a1b2.ngrok.app/telegram/webhook"
            assert hook.secret == (home / "secrets" / "webhook.secret").read_text().strip()
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            _, said = server.communicate(timeout=60)
    assert "Traceback" not in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=resnet"], "doggo: there is no model 'resnet' (there are colour)"),
        ([], "say which: make launch model="),
    ],
)
def test_launch_of_another_model_is_one_line(home: Path, words: list[str], said: str) -> None:
    done = run(home, "launch", *words)
    assert done.returncode != 0
    assert said in done.stderr
