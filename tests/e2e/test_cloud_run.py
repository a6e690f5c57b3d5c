"""The whole way with every bucket in an object store, over real servers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.commands import run_doggo
from tests.homes import jpeg, write_folder
from tests.object_stores import ObjectStore

from doggo.apps.drawn import write_drawn
from doggo.storage.buckets import open_bucket

KILLS = 4


def buckets_on(store: ObjectStore) -> dict[str, str]:
    """Return settings that put every bucket into `store`."""
    names = ("RAW", "PROCESSED", "BUNDLE")
    return {f"DOGGO_{name}_BUCKET": f"{store.new_bucket()}/doggo" for name in names} | store.env


def test_the_whole_way_on_google_cloud_and_a_server_elsewhere(
    gcs_store: ObjectStore, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    list(write_drawn(photos, breeds=3, pictures=12))
    home, env = tmp_path / "home", buckets_on(gcs_store)
    done = run_doggo(home, "run", photos, "--json", **env)
    assert done.code == 0, done.err
    assert done.json()["promoted"]
    assert not (home / "buckets" / "raw").exists()

    listed = {
        row["name"]: row for row in run_doggo(home, "buckets", "list", "--json", **env).json()
    }
    assert listed["raw"]["objects"] == 36
    assert listed["bundle"]["objects"] == 9
    checks = run_doggo(home, "doctor", "--json", **env)
    assert checks.code == 0, checks.out

    # Nothing but the address of the bundles is known to a machine that only answers.
    other = {name: value for name, value in env.items() if "RAW" not in name}
    photo = next(photos.rglob("*.png"), None) or next(path for path in photos.rglob("*.*"))
    answer = run_doggo(tmp_path / "elsewhere", "predict", photo, "--json", **other)
    assert answer.code == 0, answer.err
    assert answer.json()["model"]["version"] == 1

    # The cache may go at any time.
    shutil.rmtree(home / "cache")
    again = run_doggo(home, "run", photos, "--json", **env)
    assert again.code == 0, again.err
    assert again.json()["intake"]["already_present"] == 36
    evaluated = run_doggo(home, "evaluate", "--json", **env)
    assert evaluated.code == 0, evaluated.err


def test_an_intake_that_is_killed_loses_and_doubles_nothing(
    s3_store: ObjectStore, tmp_path: Path
) -> None:
    photos = write_folder(
        tmp_path / "photos",
        {
            breed: [jpeg(100 * n + i) for i in range(40)]
            for n, breed in enumerate(("beagle", "pug"))
        },
    )
    home, env = tmp_path / "home", buckets_on(s3_store)
    command = [sys.executable, "-m", "doggo", "intake", str(photos)]
    killed = 0
    for attempt in range(KILLS):
        child = subprocess.Popen(
            command,
            env={**os.environ, **env, "DOGGO_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1.0 + 0.5 * attempt)
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed
    done = run_doggo(home, "intake", photos, "--json", **env)
    assert done.code == 0, done.err
    report = done.json()
    assert report["added"] + report["already_present"] == 80
    assert report["quarantined"] == report["conflicts"] == 0
    raw = next(
        row
        for row in run_doggo(home, "buckets", "list", "--json", **env).json()
        if row["name"] == "raw"
    )
    assert raw["objects"] == 80
    assert run_doggo(home, "doctor", **env).code == 0


def test_a_bucket_that_is_not_there_stops_the_run_in_one_line(
    gcs_store: ObjectStore, tmp_path: Path
) -> None:
    photos = write_folder(tmp_path / "photos", {"beagle": [jpeg(1)], "pug": [jpeg(2)]})
    env = buckets_on(gcs_store) | {"DOGGO_RAW_BUCKET": "gs://nobody-made-this"}
    done = run_doggo(tmp_path / "home", "intake", photos, **env)
    assert done.code == 1
    assert "there is no such bucket: make gs://nobody-made-this" in done.line()


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_a_move_that_is_killed_keeps_every_object_somewhere(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: ObjectStore = request.getfixturevalue(f"{kind}_store")
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    source, url = open_bucket((tmp_path / "source").as_uri()), store.new_bucket()
    data = {f"d/{n:03}": bytes([n]) * 2000 for n in range(200)}
    for key, value in data.items():
        source.write(key, value, durable=False)
    target = open_bucket(url, cache=tmp_path / "cache")
    words = [source.url, url, "--move"]
    child = subprocess.Popen(
        [sys.executable, "-m", "doggo", "buckets", "copy", *words],
        env={**os.environ, "DOGGO_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(target.sizes()) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert set(source.list()) | set(target.list()) == set(data)
    for key in target.list():
        assert target.read_stored(key) == data[key]

    done = run_doggo(tmp_path / "home", "buckets", "copy", *words, "--json")
    assert done.code == 0, done.err
    assert list(source.list()) == []
    assert {key: target.read_stored(key) for key in target.list()} == data
