"""Who may reach what from where."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from tests.serving import Serving
from tests.tiny_bundle import make_bundle

from doggo.core.errors import UsageError
from doggo.serve.exposure import Exposure, RateLimit, carries_key, is_outside, parse_public
from doggo.serve.models import FixedBundle

KEY = "a-key-of-many-letters"


def headers(**given_headers: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in given_headers.items()})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:80", "127.9.9.9"]
)
def test_this_machine_is_inside(host: str) -> None:
    assert not is_outside(headers(host=host), "127.0.0.1")
    assert not is_outside(headers(host=host), "::1")
    assert not is_outside(headers(host=host), "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "10.0.0.1", "[::2]"],
)
def test_another_host_is_outside_even_from_loopback(host: str) -> None:
    assert is_outside(headers(host=host), "127.0.0.1")


@pytest.mark.parametrize(
    "name",
    [
        "x_forwarded_for", "x_forwarded_port", "x_forwarded_server", "x_forwarded_prefix",
        "forwarded", "x_real_ip", "via",
    ],
)  # fmt: skip
def test_what_was_forwarded_is_outside(name: str) -> None:
    assert is_outside(headers(host="127.0.0.1", **{name: "127.0.0.1"}), "127.0.0.1")


@pytest.mark.parametrize("client", ["10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1"])
def test_another_machine_is_outside(client: str) -> None:
    assert is_outside(headers(host="127.0.0.1"), client)


def ask(server: Serving, path: str, version: str, *lines: str) -> int:
    """Return the status that these bytes of a request get over a socket of this machine."""
    head = [f"GET {path} HTTP/{version}", f"Host: 127.0.0.1:{server.port}", *lines]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as peer:
        peer.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode())
        answer = b"".join(iter(lambda: peer.recv(4096), b""))
    return int(answer.split()[1])


def test_a_proxy_that_says_little_is_outside_over_a_real_socket(tmp_path: Path) -> None:
    with Serving(FixedBundle(make_bundle(tmp_path / "colour"))) as server:
        assert ask(server, "/v1/model", "1.1") == 200
        assert ask(server, "/v1/model", "1.0") == 403  # nginx's bare proxy_pass
        assert ask(server, "/v1/model", "1.1", "X-Forwarded-Port: 443") == 403
        assert ask(server, "/v1/model", "1.1", "x-forwarded-server: dogs.example") == 403
        assert ask(server, "/healthz", "1.0") == 200


@given(st.text(max_size=50))
def test_no_host_header_breaks_the_decision(host: str) -> None:
    raw = [(b"host", host.encode("utf-8", "surrogatepass"))]
    assert isinstance(is_outside(Headers(raw=raw), "127.0.0.1"), bool)


def test_public_paths_open_themselves_and_a_star_what_is_below() -> None:
    exposure = Exposure(paths=parse_public("/v1/predict, /static/*,"), api_key=KEY)
    assert exposure.opens("/v1/predict")
    assert exposure.opens("/static/page.js")
    assert not exposure.opens("/v1/model")
    assert not exposure.opens("/v1/predict/more")
    assert not Exposure().opens("/")


@pytest.mark.parametrize("key", ["", "short"])
def test_opening_a_path_without_a_real_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="DOGGO_API_KEY"):
        Exposure(paths=frozenset({"/v1/predict"}), api_key=key)


def test_a_public_name_that_is_no_path_is_refused() -> None:
    with pytest.raises(UsageError, match="starts with '/'"):
        Exposure(paths=parse_public("v1/predict"), api_key=KEY)


def test_the_key_never_shows_in_a_repr() -> None:
    assert KEY not in repr(Exposure(paths=frozenset({"/"}), api_key=KEY))


def test_the_key_is_taken_from_each_of_three_places() -> None:
    basic = base64.b64encode(f"anyone:{KEY}".encode()).decode()
    assert carries_key(headers(x_api_key=KEY), KEY)
    assert carries_key(headers(authorization=f"Bearer {KEY}"), KEY)
    assert carries_key(headers(authorization=f"Basic {basic}"), KEY)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", "Basic ???", "Basic /w==", f"Digest {KEY}"]
)
def test_a_wrong_key_is_refused(authorization: str) -> None:
    assert not carries_key(headers(authorization=authorization), KEY)


def test_the_rate_limit_lets_a_burst_pass_then_as_many_as_it_says() -> None:
    now = 0.0
    rate = RateLimit(per_minute=6, clock=lambda: now)
    assert [rate.wait_s() for _ in range(6)] == [0] * 6
    assert rate.wait_s() == 10
    now = 10.0
    assert rate.wait_s() == 0
    assert rate.wait_s() > 0
    now = 1000.0
    assert [rate.wait_s() for _ in range(7)].count(0) == 6
