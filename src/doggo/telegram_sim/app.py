"""The simulator on HTTP: the Bot API for the bot, `/sim/` and the page for people.

Owns the routes of the bot and how a fault becomes a broken answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from doggo.telegram_sim import bodies, control, methods, page
from doggo.telegram_sim.bodies import Body
from doggo.telegram_sim.dispatch import dispatch
from doggo.telegram_sim.faults import Fault, Trouble
from doggo.telegram_sim.objects import JsonObject
from doggo.telegram_sim.records import Call
from doggo.telegram_sim.refusal import ApiError, forbidden, too_many
from doggo.telegram_sim.telegram import Result, Telegram, refused


def create_app(telegram: Telegram) -> ASGIApp:
    """Return the ASGI app; webhooks are delivered while its lifespan lasts."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        delivering = asyncio.create_task(dispatch(telegram))
        yield
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering

    async def call(request: Request) -> Response:
        return await _call(telegram, request)

    async def download(request: Request) -> Response:
        return await _download(telegram, request)

    return Starlette(
        routes=[
            Route("/bot{token}/{method}", call, methods=["GET", "POST"]),
            Route("/file/bot{token}/{path:path}", download),
            *control.routes(telegram),
            *page.routes(telegram),
        ],
        middleware=[Middleware(control.Guard)],
        lifespan=lifespan,
    )


class BrokenOff(Response):
    """An answer that ends before its end; the server then drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        part = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": bytes(part), "more_body": True})


async def _call(telegram: Telegram, request: Request) -> Response:
    at = telegram.clock()
    if request.path_params["token"] != telegram.token:
        return _response(refused(ApiError(401, "Unauthorized")))
    name = request.path_params["method"]
    body, chat_id = Body({}), None
    try:
        method = methods.find(name).name
        body = await bodies.read(request)
    except ApiError as error:
        result, fault, method = refused(error), None, name
    else:
        chat_id = telegram.chat_of(body.arguments)
        fault = telegram.faults.hit(method, chat_id)
        result = await _with_fault(telegram, method, body, fault)
    withheld = fault is not None and fault.trouble in (Trouble.HANG, Trouble.LOST)
    telegram.note(
        Call(
            method=method,
            chat_id=chat_id,
            arguments=_told(body),
            at=at,
            status=0 if withheld else result.status,
            description=result.description,
        )
    )
    if withheld:
        return BrokenOff(b"{" + b" " * 1000, media_type="application/json")
    return _response(result)


async def _with_fault(telegram: Telegram, method: str, body: Body, fault: Fault | None) -> Result:
    """Answer a call, well or as the fault will have it."""
    if fault is None or fault.trouble is Trouble.LOST:
        return await telegram.answer(method, body)
    if fault.trouble in (Trouble.HANG, Trouble.SLOW):
        await asyncio.sleep(fault.seconds)
        if fault.trouble is Trouble.SLOW:
            return await telegram.answer(method, body)
    return refused(_refusal(fault))


def _refusal(fault: Fault) -> ApiError:
    if fault.trouble is Trouble.TOO_MANY:
        return too_many(fault.retry_after_s)
    if fault.trouble is Trouble.FORBIDDEN:
        return forbidden("bot was blocked by the user")
    return ApiError(500, "Internal Server Error")


async def _download(telegram: Telegram, request: Request) -> Response:
    at = telegram.clock()
    if request.path_params["token"] != telegram.token:
        return _response(refused(ApiError(401, "Unauthorized")))
    path = request.path_params["path"]
    fault = telegram.faults.hit("download", None)
    stored = telegram.state.paths.get(path)
    result = Result(404, refused(ApiError(404, "Not Found")).body, "Not Found")
    if fault is not None and fault.trouble in (Trouble.HANG, Trouble.SLOW):
        await asyncio.sleep(fault.seconds)
    if stored is not None:
        result = Result(200, stored.data)
        if fault is not None and fault.trouble in _REFUSALS:
            result = refused(_refusal(fault))
    telegram.note(
        Call(
            method="download",
            chat_id=None,
            arguments={"path": path},
            at=at,
            status=result.status,
            description=result.description,
        )
    )
    if fault is not None and fault.trouble in _BREAKS:
        return BrokenOff(result.body, media_type="application/octet-stream")
    if result.status == 200:
        return Response(result.body, media_type="application/octet-stream")
    return _response(result)


_REFUSALS = frozenset({Trouble.TOO_MANY, Trouble.FORBIDDEN, Trouble.SERVER_ERROR})
_BREAKS = frozenset({Trouble.TRUNCATED, Trouble.HANG, Trouble.LOST})


def _response(result: Result) -> Response:
    headers = {}
    if result.retry_after_s is not None:
        headers["Retry-After"] = str(result.retry_after_s)
    return Response(result.body, result.status, headers, media_type="application/json")


def _told(body: Body) -> JsonObject:
    """Return what a call is remembered by: of a file only its size, of a secret nothing."""
    told = dict(body.arguments)
    for name, file in body.files.items():
        told[name] = f"<{len(file.data)} bytes>"
    return {name: "..." if name == "secret_token" else value for name, value in told.items()}
