"""The Open Inference Protocol over a real server, held to its published schema.

`open_inference_rest.yaml` is that schema, as its authors publish it.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
import tritonclient.http as triton
import yaml
from tests.serving import Serving
from tests.tiny_bundle import COLOURS, make_bundle, picture
from tritonclient.utils import InferenceServerException

from doggo.serve.models import FixedBundle, ProductionBundle
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.photo import MAX_BYTES

SCHEMA = yaml.safe_load(Path(__file__).with_name("open_inference_rest.yaml").read_text())
INFER = "/v2/models/doggo/infer"
PHOTOS = [picture(colour) for colour in COLOURS.values()]
RED = picture((230, 20, 20))
KEY = "a-key-of-many-letters"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Serving]:
    with Serving(FixedBundle(bundle), queue_size=8) as serving:
        yield serving


def valid(name: str, found: Any) -> Any:
    """Hold `found` to the published schema of this name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": SCHEMA["components"]}
    jsonschema_rs.validator_for(schema).validate(found)
    return found


def request_of(photos: Sequence[bytes], **more: Any) -> dict[str, Any]:
    data = [base64.b64encode(photo).decode() for photo in photos]
    photo = {"name": "photo", "datatype": "BYTES", "shape": [len(photos)], "data": data}
    return valid("inference_request", {"inputs": [photo], **more})


def infer(server: Serving, photos: Sequence[bytes], **more: Any) -> dict[str, Any]:
    reply = server.client.post(INFER, json=request_of(photos, **more))
    assert reply.status_code == 200, reply.text
    return dict(valid("inference_response", reply.json()))


def refused(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    return dict(valid("inference_error_response", reply.json()))


def outputs(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in answer["outputs"]}


def test_the_server_and_its_model_describe_themselves(server: Serving) -> None:
    get: Callable[[str], Any] = lambda path: server.client.get(path).json()  # noqa: E731
    for path in ("/v2", "/v2/"):
        assert valid("metadata_server_response", get(path))["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/doggo", "/v2/models/colour", "/v2/models/colour/versions/0"):
        model = valid("metadata_model_response", get(path))
        assert (model["name"], model["versions"]) == ("colour", ["0"])
        assert model["inputs"] == [{"name": "photo", "datatype": "BYTES", "shape": [-1]}]
        described = {one["name"]: one for one in model["outputs"]}
        assert described["probability"]["shape"] == [-1, 3]
        assert get(f"{path}/ready") == {"name": "colour", "ready": True}
    assert get("/v2/health/live")["live"] is True
    assert get("/v2/health/ready")["ready"] is True


def test_answers_are_those_of_v1(server: Serving) -> None:
    expected = [server.predict(photo).json() for photo in PHOTOS]
    answer = infer(server, PHOTOS, id="42")
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("42", "colour", "0")
    found = outputs(answer)
    assert found["breed"].tolist() == [
        [breed["breed"] for breed in one["breeds"]] for one in expected
    ]
    assert found["probability"].tolist() == [
        [breed["probability"] for breed in one["breeds"]] for one in expected
    ]
    assert found["verdict"].tolist() == [one["verdict"] for one in expected]
    assert len(set(found["prediction_id"])) == len(PHOTOS)
    assert {"breed", "probability", "verdict", "dog_mass", "prediction_id"} == set(found)


def test_real_photos_get_the_answers_of_v1(
    bootstrap_bundle: Path, foolbox_photos: list[Path]
) -> None:
    photos = [path.read_bytes() for path in foolbox_photos]
    with Serving(FixedBundle(bootstrap_bundle)) as server:
        expected = [server.predict(photo).json() for photo in photos]
        found = outputs(infer(server, photos))
    assert found["verdict"].tolist() == [one["verdict"] for one in expected]
    assert found["breed"][:, 0].tolist() == [one["breeds"][0]["breed"] for one in expected]
    assert found["probability"][:, 0].tolist() == [
        one["breeds"][0]["probability"] for one in expected
    ]


def test_a_client_that_others_wrote_gets_the_same(server: Serving) -> None:
    expected = outputs(infer(server, PHOTOS))
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("colour", "0")
        assert not client.is_model_ready("colour", "1")
        assert client.get_server_metadata()["name"] == "doggo"
        assert client.get_model_metadata("doggo")["platform"] == "onnx_onnxv1"
        photos = triton.InferInput("photo", [len(PHOTOS)], "BYTES")
        photos.set_data_from_numpy(np.array(PHOTOS, dtype=object))
        plain = [
            triton.InferRequestedOutput(name, binary_data=False)
            for name in ("breed", "probability")
        ]
        for wanted in (None, plain):
            result = client.infer("colour", [photos], request_id="7", outputs=wanted)
            breeds = np.vectorize(lambda one: one if isinstance(one, str) else one.decode())
            assert (breeds(result.as_numpy("breed")) == expected["breed"]).all()
            np.testing.assert_allclose(
                result.as_numpy("probability"), expected["probability"], atol=1e-6
            )
            assert result.get_response()["id"] == "7"
        with pytest.raises(InferenceServerException, match="in service is colour"):
            client.infer("another", [photos])
    finally:
        client.close()


@pytest.mark.parametrize(
    "kind", ["", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_the_body_may_be_the_photo_alone(server: Serving, kind: str) -> None:
    headers = {"Inference-Header-Content-Length": "0", **({"Content-Type": kind} if kind else {})}
    reply = server.client.post(INFER, content=RED, headers=headers)
    assert outputs(valid("inference_response", reply.json()))["breed"][0, 0] == "affenpinscher"


def test_outputs_that_are_asked_for_come_alone(server: Serving) -> None:
    answer = infer(server, [RED], outputs=[{"name": "verdict"}, {"name": "dog_mass"}])
    assert [one["name"] for one in answer["outputs"]] == ["verdict", "dog_mass"]


def test_one_bad_photo_refuses_all_and_is_named(server: Serving) -> None:
    told = refused(server.client.post(INFER, json=request_of([RED, b"no picture", RED])), 400)
    assert told["error"].startswith("photo 2 of 3: ")
    assert told["reason"] == "not_a_picture"
    alone = refused(server.client.post(INFER, json=request_of([b"no picture"])), 400)
    assert not alone["error"].startswith("photo 1")


def test_the_limits_are_those_of_v1(server: Serving) -> None:
    most = RED + b"\0" * (MAX_BYTES - len(RED))
    assert outputs(infer(server, [most]))["breed"][0, 0] == "affenpinscher"
    assert refused(server.client.post(INFER, json=request_of([most + b"\0"])), 413)
    assert refused(server.client.post(INFER, json=request_of([most, most])), 413)
    raw = {"Inference-Header-Content-Length": "0"}
    assert refused(server.client.post(INFER, content=most + b"\0", headers=raw), 413)


def test_a_request_with_more_photos_than_places_is_refused_whole(server: Serving) -> None:
    assert len(outputs(infer(server, [RED] * 8))["verdict"]) == 8
    before = server.metric("doggo_prediction_seconds_count")
    told = refused(server.client.post(INFER, json=request_of([RED] * 9)), 413)
    assert "8 photos" in told["error"]
    assert server.metric("doggo_prediction_seconds_count") == before


def test_photos_count_one_by_one_in_the_queue(bundle: Path) -> None:
    with Serving(FixedBundle(bundle), queue_size=4) as server, ThreadPoolExecutor(4) as pool:

        def send(_: int) -> httpx.Response:
            return httpx.post(f"{server.url}{INFER}", json=request_of([RED] * 3), timeout=60)

        seen: set[int] = set()
        for _ in range(50):  # threes meet in a queue of four, unless the machine dawdles
            for reply in pool.map(send, range(4)):
                seen.add(reply.status_code)
                if reply.status_code == 429:
                    refused(reply, 429)
                    assert int(reply.headers["retry-after"]) >= 1
            if 429 in seen:
                break
        assert seen == {200, 429}
        assert server.metric("doggo_waiting_photos") == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=a"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Inference-Header-Content-Length": "-1"}, 400),
        ({"Inference-Header-Content-Length": "1e3"}, 400),
        ({"Inference-Header-Content-Length": "9" * 5000}, 400),
        ({"Inference-Header-Content-Length": "99999"}, 400),
    ],
)
def test_headers_that_lie_are_refused(
    server: Serving, headers: dict[str, str], status: int
) -> None:
    body = gzip.compress(b"{}") if "Content-Encoding" in headers else b"{}"
    kind = {"Content-Type": "application/json"}
    refused(server.client.post(INFER, content=body, headers=kind | headers), status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 20 * 2**20,
        b"[" + b"1e9," * 5 * 2**20,
        b'{"inputs": [{"data": ["' + b"\\u0041" * 3 * 2**20,
        b'{"a": 1, ' * 2**20,
        b"\xff\xfe" * 2**20,
        b'"' + b"\\" * 20 * 2**20,
    ],
    ids=["empty", "nested", "numbers", "escapes", "members", "not utf-8", "backslashes"],
)
def test_hostile_bodies_are_refused_over_http(server: Serving, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(server.client.post(INFER, content=body, headers=headers), 400)
    assert server.client.get("/v2/health/live").status_code == 200


def test_errors_of_the_server_itself_have_the_protocols_form(server: Serving) -> None:
    refused(server.client.get("/v2/nothing"), 404)
    refused(server.client.get("/v2/models/another"), 404)
    refused(server.client.get("/v2/models/doggo/versions/9/ready"), 404)
    refused(server.client.get("/v2/models/doggo/versions/00"), 404)
    wrong = server.client.get(INFER)
    refused(wrong, 405)
    assert wrong.headers["allow"] == "POST"
    foreign = {"Origin": "https://evil.example"}
    refused(server.client.get("/v2", headers=foreign), 403)
    assert server.client.get("/v20").headers["content-type"] == "application/problem+json"


def test_the_outside_needs_leave_and_the_key(bundle: Path) -> None:
    with Serving(FixedBundle(bundle), public="/v2/*", api_key=KEY) as opened:
        outside = {"Host": "dogs.example"}
        refused(opened.client.get("/v2/health/live", headers=outside), 401)
        with_key = {**outside, "X-API-Key": KEY}
        assert opened.client.get("/v2/health/live", headers=with_key).status_code == 200
        reply = opened.client.post(INFER, json=request_of([RED]), headers=with_key)
        assert reply.status_code == 200
    with Serving(FixedBundle(bundle)) as closed:
        refused(closed.client.get("/v2", headers=outside), 403)


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    store = BundleStore(Bucket(tmp_path / "store"))
    with Serving(ProductionBundle(store)) as server:
        for reply in (
            server.client.get("/v2/health/ready"),
            server.client.get("/v2/models/doggo/ready"),
            server.client.post(INFER, json=request_of([RED])),
        ):
            refused(reply, 503)
            assert int(reply.headers["retry-after"]) > 0
        assert server.client.get("/v2/health/live").status_code == 200


def test_a_promotion_changes_the_version_that_answers(tmp_path: Path) -> None:
    store = BundleStore(Bucket(tmp_path / "store"))
    for turn in (0, 1):
        store.add(make_bundle(tmp_path / f"turn{turn}", turn=turn), {})
    store.move(1, why="test", actor="test")
    with Serving(ProductionBundle(store)) as server:
        assert outputs(infer(server, [RED]))["breed"][0, 0] == "affenpinscher"
        store.move(2, why="test", actor="test")
        deadline = time.monotonic() + 60
        while server.client.get("/v2/models/doggo").json()["versions"] != ["2"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        answer = infer(server, [RED, RED])
        assert (answer["model_version"], outputs(answer)["breed"][:, 0].tolist()) == (
            "2",
            ["beagle", "beagle"],
        )
        first = "/v2/models/colour/versions/1"
        refused(server.client.get(f"{first}/ready"), 404)
        refused(server.client.post(f"{first}/infer", json=request_of([RED])), 404)
        assert server.client.get("/v2/models/colour/versions/2/ready").status_code == 200


def test_the_published_paths_are_all_there(server: Serving) -> None:
    described = server.client.get("/openapi.json").json()["paths"]
    for path, methods in SCHEMA["paths"].items():
        ours = path.replace("${MODEL_NAME}", "{name}").replace("${MODEL_VERSION}", "{version}")
        found = described[ours.rstrip("/")]
        assert set(methods) & {"get", "post"} == set(found)


def test_a_failure_inside_is_a_500_without_its_words(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Serving(FixedBundle(bundle)) as server:
        model = server.models.current
        assert model is not None
        four = make_bundle(bundle.parent / "four", ("a", "b", "c", "d"))
        model.bundle = FixedBundle(four).load(FixedBundle(four).wanted()).bundle
        told = refused(server.client.post(INFER, content=json.dumps(request_of([RED]))), 500)
        assert "logits" not in told["error"]
        assert "request_failed" in caplog.text
