"""Clients that are slow, leave, or come all at once."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.serving import Serving
from tests.tiny_bundle import make_bundle, picture

from doggo.serve import protocol
from doggo.serve.models import FixedBundle

WAIT_S = 60
SMALL = picture((230, 20, 20))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def heavy() -> bytes:
    """A photo that keeps a decoder busy for a while."""
    stream = io.BytesIO()
    Image.effect_noise((3500, 3500), 90).convert("RGB").save(stream, "PNG", compress_level=1)
    return stream.getvalue()[: 20 * 2**20]


@pytest.fixture
def impatient(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.3)
    with Serving(FixedBundle(bundle)) as serving:
        yield serving


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def connect(server: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0"])
def test_a_head_that_never_ends_is_cut_off(impatient: Serving, start: bytes) -> None:
    with connect(impatient) as dawdler:
        dawdler.sendall(start)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = dawdler.recv(100)
        assert answer == b""
    assert impatient.client.get("/healthz").status_code == 200


def test_a_second_head_on_the_same_connection_has_the_same_limit(impatient: Serving) -> None:
    with connect(impatient) as dawdler:
        dawdler.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = dawdler.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200")
        dawdler.sendall(b"GET /healthz")
        rest = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := dawdler.recv(1000):
                rest += piece
        assert b"HTTP/1.1" not in rest


def test_a_request_may_take_longer_than_its_head(impatient: Serving) -> None:
    with connect(impatient) as client:
        client.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
            b"Content-Length: %d\r\n\r\n" % len(SMALL)
        )
        time.sleep(0.6)
        client.sendall(SMALL)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def whole_answer(client: socket.socket) -> bytes:
    """Read one answer to its end: head and body may come apart."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(5000)
    head, _, body = answer.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += client.recv(5000)
    return head + body


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/models/none/infer", 404), ("/v1/model", 405), ("/nothing", 404)]
)
def test_who_is_refused_early_may_send_the_rest_and_hears_why(
    impatient: Serving, path: str, status: int
) -> None:
    rest = b"x" * 2**20
    with connect(impatient) as client:
        for _ in range(2):  # the connection goes on
            client.sendall(
                b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
                % (path.encode(), 8 * len(rest))
            )
            client.sendall(rest)
            assert whole_answer(client).startswith(b"HTTP/1.1 %d" % status)
            for _ in range(7):
                client.sendall(rest)


def test_the_rest_of_a_refused_body_may_not_take_for_ever(impatient: Serving) -> None:
    with connect(impatient) as client:
        client.sendall(b"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n\r\nx")
        assert client.recv(5000).startswith(b"HTTP/1.1 404")
        client.sendall(b"x")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = client.recv(100)
        assert answer == b""


def test_a_full_queue_is_429_and_recovers(bundle: Path, heavy: bytes) -> None:
    def send(url: str) -> httpx.Response:
        return httpx.post(f"{url}/v1/predict", content=heavy, timeout=WAIT_S)

    with Serving(FixedBundle(bundle), queue_size=1) as server, ThreadPoolExecutor(4) as pool:
        refused: list[httpx.Response] = []
        for _ in range(10):  # four at once meet in a queue of one, unless the machine dawdles
            replies = list(pool.map(send, [server.url] * 4))
            assert {reply.status_code for reply in replies} <= {200, 400, 429}
            refused = [reply for reply in replies if reply.status_code == 429]
            if refused:
                break
        assert refused
        assert int(refused[0].headers["retry-after"]) >= 1
        assert refused[0].json()["type"] == "/docs#problem-busy"
        assert server.predict(SMALL).status_code == 200


def test_a_client_that_leaves_frees_its_place(bundle: Path, heavy: bytes) -> None:
    with Serving(FixedBundle(bundle), queue_size=1) as server:
        with connect(server) as leaver:
            leaver.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
                b"Content-Length: %d\r\n\r\n" % len(heavy)
            )
            leaver.sendall(heavy)
            until(lambda: server.metric("doggo_waiting_photos") == 1)
        gone = 'doggo_requests_total{route="/v1/predict",status="499"}'
        until(lambda: gone in server.client.get("/metrics").text)
        assert server.metric("doggo_waiting_photos") == 0
        assert server.predict(SMALL).status_code == 200
