"""The address of the tunnel, from an ngrok that is there, is odd, or is not there."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from tests.canned import Canned

from doggo.apps.ngrok import tunnel_url
from doggo.core.errors import UsageError

PATH = "/api/tunnels"


def tunnels(*urls: object) -> bytes:
    return json.dumps({"tunnels": [{"name": "x", "public_url": url} for url in urls]}).encode()


@pytest.mark.parametrize(
    "urls",
    [
        ["https://a1b2.ngrok.app"],
        ["http://a1b2.ngrok.app", "https://a1b2.ngrok.app"],
        ["tcp://0.tcp.ngrok.io:1", None, "https://a1b2.ngrok.app"],
    ],
)
def test_the_https_address_is_taken(urls: list[object]) -> None:
    with Canned({PATH: (200, tunnels(*urls))}) as ngrok:
        assert tunnel_url(ngrok.url) == "https://a1b2.ngrok.app"
        assert tunnel_url(f"{ngrok.url}/") == "https://a1b2.ngrok.app"


@pytest.mark.parametrize(
    "body", [tunnels(), tunnels("http://a.ngrok.app"), b"{}", b"[]", b'{"tunnels": 5}', b"null",
             b'{"tunnels": ["x", null]}']
)  # fmt: skip
def test_an_ngrok_without_an_https_tunnel_says_how_to_start_one(body: bytes) -> None:
    with (
        Canned({PATH: (200, body)}) as ngrok,
        pytest.raises(UsageError, match="no https tunnel"),
    ):
        tunnel_url(ngrok.url)


@pytest.mark.parametrize("answer", [(500, b""), (404, b"<html>"), (200, b"<html>"), (200, b"")])
def test_something_else_on_the_port_is_no_ngrok(answer: tuple[int, bytes]) -> None:
    with Canned({PATH: answer}) as other, pytest.raises(UsageError, match="no ngrok tunnel"):
        tunnel_url(other.url)


@pytest.mark.parametrize("said", [b"220 mail ready\r\n", b"", b"HTTP/1.1 banana\r\n\r\n"])
def test_what_does_not_speak_http_is_no_ngrok(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(UsageError, match="no ngrok tunnel"):
            tunnel_url(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_nothing_there_names_the_ways_out() -> None:
    with pytest.raises(UsageError, match="doggo bot run"):
        tunnel_url("http://127.0.0.1:9")


def test_a_proxy_of_the_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Canned({PATH: (200, tunnels("https://a.ngrok.app"))}) as ngrok:
        assert tunnel_url(ngrok.url) == "https://a.ngrok.app"
