"""A request's body becomes one photo's bytes, within limits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from doggo.core.errors import BusyError
from doggo.serve.problems import ProblemError
from doggo.serve.upload import UploadLimits, Uploads

SMALL = UploadLimits(photo_bytes=1000, idle_s=0.05, total_s=0.2, in_flight_bytes=200_000)


class Body:
    """An ASGI body that arrives piece by piece, and counts how far it was read."""

    def __init__(self, pieces: Iterable[bytes], *, hangs: bool = False) -> None:
        self.pieces = iter([*pieces, None])
        self.hangs = hangs
        self.read_bytes = 0

    async def receive(self) -> MutableMapping[str, Any]:
        piece = next(self.pieces, None)
        if piece is None:
            if self.hangs:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        self.read_bytes += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}


def read(body: Body, content_type: str, limits: UploadLimits = SMALL, **more: str) -> bytes:
    headers = Headers({"content-type": content_type, **more})
    return asyncio.run(Uploads(limits).read(headers, body.receive))


def form(*fields: tuple[str, bytes]) -> tuple[bytes, str]:
    parts = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%b"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%b\r\n" % (name.encode(), value)
        for name, value in fields
    )
    return parts + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def refused(body: Body, content_type: str, **more: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read(body, content_type, **more)
    return caught.value


@given(photo=st.binary(max_size=900), size=st.integers(1, 400))
def test_the_field_photo_arrives_whole_however_it_is_cut(photo: bytes, size: int) -> None:
    data, content_type = form(("note", b"hello"), ("photo", photo), ("photo", b"another"))
    assert read(Body(cut(data, size)), content_type) == photo


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "image/x-anything", "application/octet-stream", ""]
)
def test_the_body_itself_may_be_the_photo(content_type: str) -> None:
    assert read(Body([b"abc", b"", b"def"]), content_type) == b"abcdef"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "audio/mpeg", "x"])
def test_another_kind_of_body_is_refused(content_type: str) -> None:
    assert refused(Body([b"{}"]), content_type).kind.status == 415


def test_a_form_without_the_field_is_refused() -> None:
    data, content_type = form(("picture", b"abc"))
    assert refused(Body([data]), content_type).kind.status == 422


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", "multipart/form-data; boundary=edge"),
        (b"no form at all", "multipart/form-data; boundary=edge"),
        (form(("photo", b"abc"))[0], "multipart/form-data"),
        (form(("photo", b"abc"))[0], "multipart/form-data; boundary=" + "e" * 300),
        (form(("photo", b"abc" * 90))[0][:200], "multipart/form-data; boundary=edge"),
    ],
    ids=["empty", "malformed", "no boundary", "endless boundary", "cut off"],
)
def test_a_broken_form_is_refused(data: bytes, content_type: str) -> None:
    assert refused(Body([data] if data else []), content_type).kind.status == 422


@given(data=st.binary(max_size=600))
def test_no_form_breaks_the_parser(data: bytes) -> None:
    body = Body(cut(b"--edge\r\n" + data, 50))
    with contextlib.suppress(ProblemError):
        assert len(read(body, "multipart/form-data; boundary=edge")) <= len(data)


@given(content_type=st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_content_type_breaks_the_parser(content_type: str) -> None:
    with contextlib.suppress(ProblemError):
        assert read(Body([b"abc"]), content_type) == b"abc"


def test_exactly_the_limit_is_taken() -> None:
    photo = b"x" * SMALL.photo_bytes
    assert read(Body(cut(photo, 100)), "image/jpeg") == photo
    data, content_type = form(("photo", photo))
    assert read(Body(cut(data, 100)), content_type) == photo


@pytest.mark.parametrize("length", ["", "5", "junk"])
def test_a_byte_more_is_refused_whatever_content_length_says(length: str) -> None:
    photo = b"x" * (SMALL.photo_bytes + 1)
    more = {"content-length": length} if length else {}
    assert refused(Body(cut(photo, 100)), "image/jpeg", **more).kind.status == 413
    data, content_type = form(("photo", photo))
    assert refused(Body(cut(data, 100)), content_type, **more).kind.status == 413


def test_other_fields_cannot_smuggle_in_more() -> None:
    data, content_type = form(("note", b"y" * 100_000), ("photo", b"x"))
    assert refused(Body(cut(data, 5000)), content_type).kind.status == 413


def test_an_endless_body_is_not_read_to_its_end() -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield b"x" * 65536

    limits = UploadLimits(photo_bytes=1000, discard_bytes=2**20)
    body = Body(())
    body.pieces = iter(endless())
    with pytest.raises(ProblemError) as caught:
        read(body, "image/jpeg", limits)
    assert caught.value.kind.status == 413
    assert body.read_bytes <= 2**20 + 2 * 65536


def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    body = Body([b"x" * 5000])
    more = {"expect": "100-continue", "content-length": "5000"}
    assert refused(body, "image/jpeg", **more).kind.status == 413
    assert body.read_bytes == 0


def test_a_body_that_pauses_is_given_up() -> None:
    assert refused(Body([b"x"], hangs=True), "image/jpeg").kind.status == 408


def test_a_body_that_drips_is_given_up() -> None:
    class Dripping(Body):
        async def receive(self) -> MutableMapping[str, Any]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x", "more_body": True}

    assert refused(Dripping(()), "image/jpeg").kind.status == 408


def test_a_client_that_leaves_is_noticed() -> None:
    async def leave() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(Uploads(SMALL).read(Headers({}), leave))


def test_all_that_arrives_at_once_has_a_limit_and_gives_its_share_back() -> None:
    async def scenario() -> None:
        uploads = Uploads(UploadLimits(photo_bytes=1000, in_flight_bytes=1500, idle_s=0.2))
        headers = Headers({"content-type": "image/jpeg"})
        waiting = Body([b"x" * 900], hangs=True)
        first = asyncio.ensure_future(uploads.read(headers, waiting.receive))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await uploads.read(headers, Body([b"y" * 900]).receive)
        first.cancel()
        await asyncio.wait([first])
        assert await uploads.read(headers, Body([b"y" * 900]).receive) == b"y" * 900

    asyncio.run(scenario())


def test_a_body_that_is_too_large_with_its_last_piece_is_refused_at_once() -> None:
    async def ends() -> MutableMapping[str, Any]:
        return next(messages)

    messages = iter([{"type": "http.request", "body": b"x" * 1001, "more_body": False}])
    with pytest.raises(ProblemError) as caught:
        asyncio.run(Uploads(SMALL).read(Headers({}), ends))
    assert caught.value.kind.status == 413


class TestHolding:
    """Bodies that are kept whole while something is made of them."""

    def hold(self, body: Body, limits: UploadLimits = SMALL, **more: str) -> bytes:
        async def whole() -> bytes:
            async with Uploads(limits).hold(Headers(more), body.receive) as data:
                return data

        return asyncio.run(whole())

    def test_a_photo_at_its_limit_fits_in_base64(self) -> None:
        most = SMALL.request_bytes
        assert most > len(base64.b64encode(b"x" * SMALL.photo_bytes))
        assert self.hold(Body(cut(b"x" * most, 999))) == b"x" * most
        with pytest.raises(ProblemError, match=r"a request may have .* MiB at most"):
            self.hold(Body(cut(b"x" * (most + 1), 999)))

    def test_a_body_that_pauses_is_given_up(self) -> None:
        with pytest.raises(ProblemError) as caught:
            self.hold(Body([b"x"], hangs=True))
        assert caught.value.kind.status == 408

    def test_a_body_counts_until_it_is_let_go(self) -> None:
        async def scenario() -> None:
            uploads = Uploads(UploadLimits(photo_bytes=1000, in_flight_bytes=1500))
            headers = Headers({"content-type": "image/jpeg"})
            for failure in (False, True):
                with contextlib.suppress(ZeroDivisionError):
                    async with uploads.hold(headers, Body([b"x" * 900]).receive) as held:
                        assert held == b"x" * 900
                        with pytest.raises(BusyError):
                            await uploads.read(headers, Body([b"y" * 900]).receive)
                        assert 1 / (not failure)
                assert await uploads.read(headers, Body([b"y" * 900]).receive) == b"y" * 900

        asyncio.run(scenario())

    def test_a_client_that_leaves_gives_its_share_back(self) -> None:
        async def scenario() -> None:
            uploads = Uploads(UploadLimits(photo_bytes=1000, in_flight_bytes=1500))
            pieces = iter([{"type": "http.request", "body": b"x" * 900, "more_body": True}])

            async def leave() -> MutableMapping[str, Any]:
                return next(pieces, {"type": "http.disconnect"})

            with pytest.raises(ClientDisconnect):
                async with uploads.hold(Headers({}), leave):
                    raise AssertionError("never whole")
            headers = Headers({"content-type": "image/jpeg"})
            assert await uploads.read(headers, Body([b"y" * 900]).receive) == b"y" * 900

        asyncio.run(scenario())
