"""Under `/sim/`: what tests, benchmarks and the page ask of the simulator itself.

Owns the routes. Only this machine may use them, and no page of another site: see `guard`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from doggo.telegram_sim.actions import OneOrMany, Uploads
from doggo.telegram_sim.events import Event
from doggo.telegram_sim.objects import JsonObject
from doggo.telegram_sim.people import WrongMoveError
from doggo.telegram_sim.profile import commands_seen
from doggo.telegram_sim.telegram import Telegram

MOST_UPLOAD_BYTES = 64 << 20

_SHOWN_MESSAGES = 300
_HEARTBEAT_S = 15.0
_PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif")


def routes(telegram: Telegram) -> list[Route]:
    """Return the routes under `/sim/`."""
    uploads = Uploads()

    async def do(request: Request) -> Response:
        try:
            wanted = OneOrMany.model_validate_json(await _body(request)).root
            actions = wanted if isinstance(wanted, list) else [wanted]
            # Pictures are brought into sizes here: not in the event loop that serves the bot.
            done = await run_in_threadpool(
                lambda: [action.act(telegram, uploads) for action in actions]
            )
        except ValidationError as error:
            return _problem(422, json.loads(error.json(include_url=False, include_context=False)))
        except WrongMoveError as error:
            return _problem(400, str(error))
        return JSONResponse(done if isinstance(wanted, list) else done[0])

    async def upload(request: Request) -> Response:
        try:
            return JSONResponse({"upload": uploads.add(await _body(request))})
        except WrongMoveError as error:
            return _problem(413, str(error))

    async def events(request: Request) -> Response:
        return StreamingResponse(
            _stream(telegram), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    return [
        Route("/sim/do", do, methods=["POST"]),
        Route("/sim/uploads", upload, methods=["POST"]),
        Route("/sim/events", events),
        *_reading(telegram),
    ]


def _reading(telegram: Telegram) -> list[Route]:
    async def state(request: Request) -> Response:
        return JSONResponse(snapshot(telegram))

    async def messages(request: Request) -> Response:
        room = telegram.state.rooms.get(_integer(request.path_params["chat"]))
        if room is None:
            return _problem(404, "there is no such chat")
        return JSONResponse(list(room.messages.values()))

    async def calls(request: Request) -> Response:
        return JSONResponse(_rows(telegram.calls, request))

    async def deliveries(request: Request) -> Response:
        return JSONResponse(_rows(telegram.deliveries, request))

    async def counts(request: Request) -> Response:
        return JSONResponse(count(telegram))

    async def commands(request: Request) -> Response:
        room = telegram.state.rooms.get(_number(request, "chat"))
        user = _number(request, "user")
        known = room is not None and user in telegram.state.users
        return JSONResponse(commands_seen(telegram.state, room, user) if known and room else [])

    async def results(request: Request) -> Response:
        try:
            return JSONResponse(telegram.inline.results(request.path_params["query"]))
        except WrongMoveError as error:
            return _problem(404, str(error))

    async def file(request: Request) -> Response:
        return _file(telegram, request.path_params["file_id"])

    return [
        Route("/sim/state", state),
        Route("/sim/chats/{chat}/messages", messages),
        Route("/sim/calls", calls),
        Route("/sim/deliveries", deliveries),
        Route("/sim/counts", counts),
        Route("/sim/commands", commands),
        Route("/sim/inline/{query}", results),
        Route("/sim/files/{file_id}", file),
    ]


def snapshot(telegram: Telegram) -> Event:
    """Return what the page shows: people, chats and their latest messages."""
    rooms = []
    for room in list(telegram.state.rooms.values()):
        latest = list(room.messages.values())[-_SHOWN_MESSAGES:]
        rooms.append({**room.described(), "messages": latest})
    return {
        "event": "state",
        "bot": telegram.state.bot,
        "users": list(telegram.state.users.values()),
        "rooms": rooms,
    }


def count(telegram: Telegram) -> JsonObject:
    """Return how much there was of everything."""
    statuses = Counter(str(one.status) for one in list(telegram.deliveries))
    return {
        "calls": dict(telegram.counts),
        "deliveries": dict(statuses),
        "pending": len(telegram.backlog),
        "sends": telegram.limits.counts.sends,
        "over_limits": dict(telegram.limits.counts.over),
    }


class Guard:
    """ASGI middleware: what is not for bots is for this machine alone.

    A page of another site may not use the visitor's browser to reach it, nor one that points its
    own name at 127.0.0.1.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(("/bot", "/file/bot")):
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            origin = headers.get("origin")
            if not _is_here(host) or (origin and origin.partition("://")[2] != host):
                await _problem(403, "only this machine may use the simulator")(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _is_here(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


async def _stream(telegram: Telegram) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    leave = telegram.events.watch(lambda event: loop.call_soon_threadsafe(queue.put_nowait, event))
    try:
        yield _sse(snapshot(telegram))
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event["event"] == "closed":
                return
            yield _sse(event)
    finally:
        leave()


def _sse(event: Event) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_UPLOAD_BYTES:
            raise WrongMoveError(f"over {MOST_UPLOAD_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _file(telegram: Telegram, file_id: str) -> Response:
    stored = telegram.state.files.get(file_id)
    if stored is None:
        return _problem(404, "there is no such file")
    shown = stored.mime_type in _PICTURES
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if not shown:
        # Never a page of its own: the browser only saves it.
        headers["Content-Disposition"] = "attachment"
    media_type = stored.mime_type if shown else "application/octet-stream"
    return Response(stored.data, media_type=media_type, headers=headers)


def _rows(records: Sequence[object], request: Request) -> list[JsonObject]:
    """Return records as JSON; `?since=N` skips those that were read already."""
    found = [dataclasses.asdict(one) for one in list(records)]  # type: ignore[call-overload]
    return found[max(0, _number(request, "since")) :]


def _number(request: Request, name: str) -> int:
    return _integer(request.query_params.get(name, "0"))


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _problem(status: int, detail: object) -> Response:
    return JSONResponse({"error": detail}, status_code=status)
