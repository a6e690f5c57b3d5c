"""Another model takes over while photos keep coming; a bad one does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.object_stores import ObjectStore
from tests.serving import Serving
from tests.tiny_bundle import make_bundle, picture

from doggo.core.errors import StorageError
from doggo.serve.models import POLL_FAR_S, FixedBundle, Models, ProductionBundle
from doggo.storage.buckets import Bucket, open_bucket
from doggo.storage.bundles import BundleStore

RED = picture((230, 20, 20))
WAIT_S = 60


def promote(store: BundleStore, version: int) -> None:
    store.move(version, why="test", actor="test")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Two versions that answer differently: red is an affenpinscher, then a beagle."""
    store = BundleStore(Bucket(tmp_path / "store"))
    for turn in (0, 1):
        store.add(make_bundle(tmp_path / f"turn{turn}", turn=turn), {})
    return store


def serving_version(server: Serving) -> int:
    return int(server.client.get("/v1/model").json()["version"])


def test_swaps_under_load_lose_nothing_and_mix_nothing(store: BundleStore) -> None:
    promote(store, 1)
    with Serving(ProductionBundle(store)) as server, ThreadPoolExecutor(6) as pool:
        done = threading.Event()

        def ask() -> list[tuple[int, int, str]]:
            seen = []
            with httpx.Client(trust_env=False, timeout=60) as client:
                while not done.is_set():
                    reply = client.post(
                        f"{server.url}/v1/predict",
                        content=RED,
                        headers={"Content-Type": "image/png"},
                    )
                    answer = reply.json()
                    version = answer.get("model", {}).get("version", 0)
                    best = answer.get("breeds", [{}])[0].get("breed", "")
                    seen.append((reply.status_code, version, best))
            return seen

        clients = [pool.submit(ask) for _ in range(6)]
        for version in (2, 1, 2, 1):
            promote(store, version)
            until(lambda version=version: serving_version(server) == version)
        done.set()
        seen = {one for client in clients for one in client.result()}
    assert seen == {(200, 1, "affenpinscher"), (200, 2, "beagle")}


def test_the_first_model_is_picked_up_when_it_appears(store: BundleStore) -> None:
    with Serving(ProductionBundle(store)) as server:
        assert server.predict(RED).status_code == 503
        promote(store, 2)
        until(lambda: server.predict(RED).status_code == 200)
        assert serving_version(server) == 2


@pytest.mark.parametrize("damage", ["altered", "gone", "not a network"])
def test_a_bad_bundle_leaves_the_old_one_serving(
    store: BundleStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    promote(store, 1)
    with Serving(ProductionBundle(store)) as server:
        network = store.folder(2) / "model.onnx"
        if damage == "gone":
            network.unlink()
        elif damage == "altered":
            data = bytearray(network.read_bytes())
            data[len(data) // 2] ^= 1
            network.write_bytes(data)
        else:
            network.write_bytes(b"not a network")
        promote(store, 2)
        until(lambda: server.client.get("/readyz").json()["refused"] is not None)
        ready = server.client.get("/readyz").json()
        assert ready["refused"]["version"] == "2"
        assert server.client.get("/v1/model").json()["refused"] == ready["refused"]
        answer = server.predict(RED).json()
        assert (answer["model"]["version"], answer["breeds"][0]["breed"]) == (1, "affenpinscher")
        assert server.metric('doggo_model_swaps_total{result="failed"}') == 1
        for _ in range(5):
            server.models.look()
        assert caplog.text.count("model_refused") == 1

        promote(store, 1)
        until(lambda: server.client.get("/readyz").json()["refused"] is None)


def test_a_network_that_fails_its_smoke_test_is_refused(tmp_path: Path, store: BundleStore) -> None:
    version = store.add(make_bundle(tmp_path / "nan", gain=float("nan")), {})
    promote(store, 1)
    models = Models(ProductionBundle(store))
    models.look()
    promote(store, version)
    models.look()
    assert models.current is not None
    assert models.current.model.version == 1
    assert models.refusal is not None
    assert "smoke test" in models.refusal.reason


def test_a_pointer_that_cannot_be_read_leaves_the_model_serving(store: BundleStore) -> None:
    promote(store, 1)
    models = Models(ProductionBundle(store))
    models.look()
    store.bucket.path("production").write_bytes(b"torn")
    models.look()
    assert models.current is not None
    assert models.refusal is not None
    assert models.refusal.wanted is None
    promoted = BundleStore(Bucket(store.bucket.root))
    store.bucket.path("production").unlink()
    promote(promoted, 2)
    models.look()
    assert models.refusal is None
    assert models.current.model.version == 2


def test_a_server_follows_a_promotion_made_on_another_machine(
    gcs_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gcs_store.env.items():
        monkeypatch.setenv(name, value)
    url = gcs_store.new_bucket()
    here, there = (BundleStore(open_bucket(url, cache=tmp_path / name)) for name in "ab")
    for turn in (0, 1):
        there.add(make_bundle(tmp_path / f"turn{turn}", turn=turn), {})
    models = Models(ProductionBundle(here))
    models.look()
    assert models.current is None
    for version in (1, 2, 1):
        promote(there, version)
        models.look()
        assert models.current is not None
        assert models.current.model.version == version
    assert ProductionBundle(here).poll_s == POLL_FAR_S


def test_a_machine_that_lost_the_race_for_production_is_told(
    gcs_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gcs_store.env.items():
        monkeypatch.setenv(name, value)
    url = gcs_store.new_bucket()
    here, there = (BundleStore(open_bucket(url, cache=tmp_path / name)) for name in "ab")
    for turn in (0, 1):
        there.add(make_bundle(tmp_path / f"turn{turn}", turn=turn), {})
    promote(there, 1)
    append = here._audit.append

    def meanwhile(**record: object) -> object:
        promote(there, 2)  # between this machine's look at the pointer and its write
        return append(**record)

    monkeypatch.setattr(here._audit, "append", meanwhile)
    with pytest.raises(StorageError, match="production was moved by somebody else meanwhile"):
        promote(here, 2)
    pointer = here.production()
    assert pointer is not None
    assert [move.to_version for move in here.audit()] == [1, 2]


def test_a_fixed_bundle_ignores_production(tmp_path: Path, store: BundleStore) -> None:
    models = Models(FixedBundle(make_bundle(tmp_path / "fixed")))
    models.look()
    promote(store, 2)
    models.look()
    assert models.current is not None
    assert models.current.model.version == 0
