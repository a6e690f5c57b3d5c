"""The HTTP contract, over a real server with a real (tiny) bundle."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.serving import Serving
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.apps.api import create_app, watch_models
from doggo.core.errors import UsageError
from doggo.core.wire import prediction_json
from doggo.serve.metrics import Metrics
from doggo.serve.models import FixedBundle, ProductionBundle
from doggo.serve.problems import KINDS, MEDIA_TYPE
from doggo.serve.schemas import ModelAnswer, PredictionAnswer, ProblemAnswer, Readiness
from doggo.settings import Settings
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.photo import MAX_BYTES
from doggo.vision.predictor import Predictor

KEY = "a-key-of-many-letters"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Serving]:
    with Serving(FixedBundle(bundle)) as serving:
        yield serving


def problem(reply: httpx.Response, status: int) -> ProblemAnswer:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == MEDIA_TYPE
    found = ProblemAnswer.model_validate(reply.json())
    assert found.status == status
    assert found.type.removeprefix("/docs#problem-") in KINDS
    return found


@pytest.mark.parametrize("breed", COLOURS)
def test_a_photo_gets_the_same_answer_as_on_the_command_line(
    server: Serving, bundle: Path, breed: str
) -> None:
    photo = picture(COLOURS[breed])
    reply = server.predict(photo)
    assert reply.status_code == 200
    answer = PredictionAnswer.model_validate(reply.json())
    assert answer.breeds[0].breed == breed
    expected = prediction_json(Predictor.load(bundle).predict(photo))
    changing = {"prediction_id", "latency_ms"}
    got = reply.json()
    assert {k: v for k, v in got.items() if k not in changing} == {
        k: v for k, v in expected.items() if k not in changing
    }


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", ""])
def test_the_photo_may_be_the_body(server: Serving, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = server.client.post("/v1/predict", content=picture((230, 20, 20)), headers=headers)
    assert reply.json()["breeds"][0]["breed"] == "affenpinscher"


def test_a_chunked_body_needs_no_length(server: Serving) -> None:
    photo = picture((20, 230, 20))
    pieces = (photo[start : start + 50] for start in range(0, len(photo), 50))
    reply = server.client.post("/v1/predict", content=pieces, headers={"Content-Type": "image/x"})
    assert reply.json()["breeds"][0]["breed"] == "beagle"


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"no picture", "not_a_picture"), (b"GIF89a", None)]
)
def test_what_is_no_photo_is_told_why(server: Serving, data: bytes, reason: str | None) -> None:
    told = problem(server.predict(data), 400)
    assert told.detail
    assert told.reason == reason if reason else told.reason


def test_a_photo_over_the_limit_is_refused_and_one_at_it_is_not(server: Serving) -> None:
    photo = picture((20, 20, 230))
    padded = photo + b"\0" * (MAX_BYTES - len(photo))
    assert server.predict(padded).status_code == 200
    assert problem(server.predict(padded + b"\0"), 413).reason == "too_many_bytes"
    body = {"content": padded + b"\0", "headers": {"Content-Type": "image/png"}}
    assert problem(server.client.post("/v1/predict", **body), 413).reason == "too_many_bytes"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_another_kind_of_body_is_415(server: Serving, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    problem(server.client.post("/v1/predict", content=b"{}", headers=headers), 415)


def test_a_form_without_photo_is_422(server: Serving) -> None:
    problem(server.client.post("/v1/predict", files={"picture": b"x"}), 422)


def test_no_such_page_and_no_such_method_are_problems(server: Serving) -> None:
    problem(server.client.get("/nothing"), 404)
    problem(server.client.get("/v1/model/"), 404)
    reply = server.client.get("/v1/predict")
    problem(reply, 405)
    assert reply.headers["allow"] == "POST"
    reply = server.client.post("/static/page.js")
    problem(reply, 405)
    assert reply.headers["allow"] == "GET, HEAD"


def test_the_model_says_what_it_is(server: Serving, bundle: Path) -> None:
    model = ModelAnswer.model_validate(server.client.get("/v1/model").json())
    assert model.labels == list(Predictor.load(bundle).bundle.labels)
    assert (model.runtime, model.precision) == ("onnxruntime", "f32")
    ready = Readiness.model_validate(server.client.get("/readyz").json())
    assert ready.model.sha256 == model.sha256
    assert server.client.get("/healthz").json() == {"status": "ok"}


def test_what_happens_is_counted(bundle: Path) -> None:
    with Serving(FixedBundle(bundle)) as server:
        server.predict(picture((230, 20, 20)))
        server.predict(b"no picture")
        server.client.get("/one"), server.client.get("/two")
        assert server.metric('doggo_requests_total{route="/v1/predict",status="200"}') == 1
        assert server.metric('doggo_requests_total{route="/v1/predict",status="400"}') == 1
        assert server.metric('doggo_requests_total{route="other",status="404"}') == 2
        assert server.metric('doggo_rejected_photos_total{reason="not_a_picture"}') == 1
        assert server.metric("doggo_prediction_seconds_count") == 1
        assert server.metric("doggo_batch_photos_count") == 1
        assert server.metric("doggo_waiting_photos") == 0
        assert server.metric('doggo_model_swaps_total{result="ok"}') == 1
        assert server.metric("doggo_model_info{") == 1


def test_without_a_model_it_says_so_and_lives(tmp_path: Path) -> None:
    store = BundleStore(Bucket(tmp_path / "store"))
    with Serving(ProductionBundle(store)) as server:
        for reply in (
            server.predict(picture((230, 20, 20))),
            server.client.get("/v1/model"),
            server.client.get("/readyz"),
        ):
            problem(reply, 503)
            assert int(reply.headers["retry-after"]) > 0
        assert server.client.get("/healthz").status_code == 200
        assert server.client.get("/").status_code == 200


def test_a_failure_inside_is_a_500_without_its_words(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Serving(FixedBundle(bundle)) as server:
        model = server.models.current
        assert model is not None
        # A network of another model under this one's labels: what a damaged process would be.
        model.bundle = Predictor.load(
            make_bundle(bundle.parent / "four", ("a", "b", "c", "d"))
        ).bundle
        told = problem(server.predict(picture((230, 20, 20))), 500)
        assert "logits" not in told.detail
        assert "request_failed" in caplog.text


class TestFromOutside:
    """What comes through a proxy or under another name."""

    def test_only_the_health_check_answers(self, server: Serving) -> None:
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        assert server.client.get("/healthz", headers=forwarded).status_code == 200
        for path in ("/", "/docs", "/v1/model", "/metrics", "/readyz", "/static/page.js"):
            problem(server.client.get(path, headers=forwarded), 403)
            problem(server.client.get(path, headers={"Host": "rebound.example"}), 403)

    def test_a_page_of_another_site_may_not_call(self, server: Serving) -> None:
        foreign = {"Origin": "https://evil.example"}
        problem(server.client.get("/v1/model", headers=foreign), 403)
        own = {"Origin": server.url}
        assert server.client.get("/v1/model", headers=own).status_code == 200

    def test_an_opened_path_needs_the_key_and_keeps_to_the_rate(self, bundle: Path) -> None:
        opened = {"public": "/v1/predict", "api_key": KEY, "public_per_minute": 4}
        with Serving(FixedBundle(bundle), **opened) as server:
            photo = {"content": picture((230, 20, 20))}
            outside = {"Host": "dogs.example", "Content-Type": "image/png"}
            with_key = {**outside, "Authorization": f"Bearer {KEY}"}

            def post(headers: dict[str, str]) -> httpx.Response:
                return server.client.post("/v1/predict", headers=headers, **photo)

            refused = post(outside)
            problem(refused, 401)
            assert refused.headers["www-authenticate"].startswith("Basic")
            assert [post(with_key).status_code for _ in range(3)] == [200] * 3
            limited = post(with_key)
            problem(limited, 429)
            assert int(limited.headers["retry-after"]) > 0
            problem(server.client.get("/v1/model", headers=with_key), 403)
            assert server.client.get("/v1/model").status_code == 200

    def test_opening_a_path_without_a_key_does_not_start(self, bundle: Path) -> None:
        metrics = Metrics()
        settings = Settings(_env_file=None, public="/v1/predict")  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="DOGGO_API_KEY"):
            create_app(watch_models(FixedBundle(bundle), metrics), settings, metrics)


class TestPages:
    """`/`, `/docs` and what they load."""

    def test_nothing_comes_from_elsewhere(self, server: Serving) -> None:
        for path in ("/", "/docs"):
            page = server.client.get(path)
            assert page.status_code == 200
            assert "https://" not in page.text
            assert "http://" not in page.text.replace("http://127.0.0.1", "")
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        for name in ("doggo.css", "page.js", "paw.svg"):
            asset = server.client.get(f"/static/{name}")
            assert asset.status_code == 200
            assert "https://" not in asset.text

    def test_the_documentation_shows_every_route_and_problem(self, server: Serving) -> None:
        page = server.client.get("/docs").text
        for path, methods in server.client.get("/openapi.json").json()["paths"].items():
            for method in methods:
                assert f'id="{method.upper()}{path.replace("/", "-")}"' in page
        for slug in KINDS:
            assert f'id="problem-{slug}"' in page
        assert "curl -F photo=@dog.jpg" in page

    def test_the_openapi_document_describes_the_body(self, server: Serving) -> None:
        operation = server.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
        kinds = set(operation["requestBody"]["content"])
        assert kinds == {"multipart/form-data", "image/*", "application/octet-stream"}
        assert {"200", "400", "413", "415", "422", "429", "503"} <= set(operation["responses"])


class TestHead:
    """HEAD, which monitors of uptime send."""

    @pytest.mark.parametrize(
        "path",
        ["/", "/docs", "/healthz", "/readyz", "/v1/model", "/v2/health/ready", "/static/paw.svg"],
    )
    def test_it_is_answered_as_get_is_without_the_body(self, server: Serving, path: str) -> None:
        told, asked = server.client.head(path), server.client.get(path)
        assert (told.status_code, told.content) == (200, b"")
        for name in ("content-type", "content-length", "content-security-policy"):
            assert told.headers.get(name) == asked.headers.get(name)

    def test_what_has_no_get_has_no_head(self, server: Serving) -> None:
        assert server.client.head("/v1/predict").status_code == 405
        assert server.client.head("/nowhere").status_code == 404

    def test_a_refused_method_is_told_of_both(self, server: Serving) -> None:
        for path in ("/healthz", "/static/paw.svg"):
            assert server.client.delete(path).headers["allow"] == "GET, HEAD"

    def test_the_openapi_document_has_each_route_once(self, server: Serving) -> None:
        paths = server.client.get("/openapi.json").json()["paths"]
        assert set(paths["/healthz"]) == {"get"}


class TestConnections:
    """Clients that do not behave."""

    def raw(self, server: Serving, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(data)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer

    def test_a_false_length_hides_nothing(self, server: Serving) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
        photo = picture((230, 20, 20))
        short = head + b"Connection: close\r\nContent-Length: 20\r\n\r\n" + photo
        assert self.raw(server, short).startswith(b"HTTP/1.1 400")
        claims = head + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"
        assert self.raw(server, claims).startswith(b"HTTP/1.1 413")

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\x16\x03\x01 what\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nA: \x00\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"MAKE /coffee HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        ],
    )
    def test_what_is_no_http_is_told_so(self, server: Serving, garbage: bytes) -> None:
        head, _, body = self.raw(server, garbage).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ") for line in lines[1:])
        answer = httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)
        assert problem(answer, 400).detail
        assert headers["Connection"] == "close"

    def test_an_endless_head_is_cut_off(self, server: Serving) -> None:
        head = b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 100_000
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = self.raw(server, head)
        assert answer == b""
        assert server.client.get("/healthz").status_code == 200

    def test_a_compressed_body_is_taken_as_it_is(self, server: Serving) -> None:
        # Nothing unpacks it, so nothing can blow up.
        headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
        body = gzip.compress(picture((230, 20, 20)))
        problem(server.client.post("/v1/predict", content=body, headers=headers), 400)


def test_the_server_answers_while_a_heavy_photo_is_decoded(server: Serving) -> None:
    stream = io.BytesIO()
    Image.effect_noise((4000, 4000), 90).convert("RGB").save(stream, "PNG", compress_level=1)
    with ThreadPoolExecutor(1) as pool:
        heavy = pool.submit(httpx.post, f"{server.url}/v1/predict", content=stream.getvalue())
        answered_meanwhile = 0
        while not heavy.done():
            assert server.client.get("/healthz").status_code == 200
            answered_meanwhile += not heavy.done()
            time.sleep(0.001)
        assert heavy.result().status_code in {200, 400, 413}
    assert answered_meanwhile > 3


def test_every_hostile_picture_is_answered(server: Serving, hostile_images: Path) -> None:
    with (hostile_images / "INDEX.csv").open(newline="") as file:
        index = list(csv.DictReader(file))
    wrong = {}
    for row in index:
        status = server.predict((hostile_images / row["file"]).read_bytes()).status_code
        expected = {"must_accept": status == 200, "must_reject": 400 <= status < 500}
        if not expected.get(row["ref_class"], status == 200 or 400 <= status < 500):
            wrong[row["file"]] = status
    assert wrong == {}


def test_real_photos_get_sensible_answers(
    bootstrap_bundle: Path, foolbox_photos: list[Path]
) -> None:
    with Serving(FixedBundle(bootstrap_bundle)) as server:
        answers = {
            path.stem: PredictionAnswer.model_validate(server.predict(path.read_bytes()).json())
            for path in foolbox_photos
        }
    mastiff, dalmatian = answers.pop("imagenet_00_243"), answers.pop("imagenet_16_251")
    assert mastiff.breeds[0].breed == "bull_mastiff"
    assert mastiff.verdict != "not_a_dog"
    assert dalmatian.verdict != "breed"  # not one of the 120: nothing may be said for sure
    assert [answer.verdict for answer in answers.values()] == ["not_a_dog"] * 18
