"""A server process: its first line, its end, and an address that is taken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.tiny_bundle import make_bundle, picture

from doggo.core.errors import UsageError
from doggo.serve.run import run

SERVE = """
import sys
from pathlib import Path
from doggo.apps.api import serve
from doggo.serve.models import FixedBundle
from doggo.settings import Settings
serve(
    FixedBundle(Path(sys.argv[1])), Settings(_env_file=None),
    host="127.0.0.1", port=0, say=lambda line: print(line, flush=True),
)
"""


@contextmanager
def process(bundle: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    started = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, str(bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert started.stdout is not None
    try:
        yield started, started.stdout.readline()
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_clean(tmp_path: Path, end: signal.Signals) -> None:
    with process(make_bundle(tmp_path / "colour")) as (server, line):
        assert "serving colour onnxruntime-f32 at http://127.0.0.1:" in line
        url = next(word for word in line.split() if word.startswith("http"))
        headers = {"Content-Type": "image/png"}
        reply = httpx.post(f"{url}/v1/predict", content=picture((230, 20, 20)), headers=headers)
        assert reply.json()["breeds"][0]["breed"] == "affenpinscher"
        server.send_signal(end)
        rest, errors = server.communicate(timeout=60)
        assert (server.returncode, rest, errors) == (0, "", "")


def test_what_is_inside_is_answered_before_the_end(tmp_path: Path) -> None:
    with process(make_bundle(tmp_path / "colour")) as (server, line):
        port = int(line.partition("127.0.0.1:")[2].split()[0])
        photo = picture((230, 20, 20))
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
            b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(photo)
        )
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 100")  # the request is inside
            connection.sendall(photo[:20])
            server.send_signal(signal.SIGTERM)
            threading.Event().wait(0.5)  # the server is closing; this photo is half inside
            connection.sendall(photo[20:])
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        server.communicate(timeout=60)
        assert server.returncode == 0


def test_a_bundle_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "colour")
    (bundle / "model.onnx").write_bytes(b"altered")
    with process(bundle) as (server, line):
        _, errors = server.communicate(timeout=60)
        assert line == ""
        assert server.returncode == 1
        assert "BundleError" in errors.splitlines()[-1]


def test_a_port_in_use_is_one_clear_line() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("never asked")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} .* in use.*--port"):
            run(app, host="127.0.0.1", port=port, ready=lambda _: None)


def test_an_address_that_is_not_here_is_one_clear_line() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("never asked")

    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.7"):
        run(app, host="203.0.113.7", port=0, ready=lambda _: None)
