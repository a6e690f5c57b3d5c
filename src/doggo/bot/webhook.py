"""`POST /telegram/webhook`: updates that Telegram brings to us.

Owns who is let in and the answer: 200 once the update is on the disk, and not before.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from doggo.core.errors import StorageError

logger = logging.getLogger(__name__)

PATH = "/telegram/webhook"
MAX_UPDATE_BYTES = 2**20  # the largest real ones have some 100 kB
SECRET_HEADER = b"x-telegram-bot-api-secret-token"

Take = Callable[[Sequence[object]], Awaitable[int]]


def webhook_route(take: Callable[[], Take | None], secret: str) -> Route:
    """Return the route. Put it before others: it is asked most, and has nothing to document.

    Args:
        take: gives what stores updates, or None while the bot does not know its own name yet:
            Telegram sends again what is answered 503.
        secret: what Telegram was told to send along.
    """
    expected = secret.encode()

    async def webhook(request: Request) -> Response:
        request.scope["route"] = route  # what the metrics count by; FastAPI names its own only
        refusal = _refusal(request, expected)
        if refusal is not None:
            return Response(status_code=refusal)
        ready = take()
        return _later() if ready is None else await _taken(request, ready)

    route = Route(PATH, webhook, methods=["POST"])
    return route


async def _taken(request: Request, take: Take) -> Response:
    try:
        body = await _body(request)
        if body is None:
            return Response(status_code=413, headers={"Connection": "close"})
        await take([json.loads(body)])
    except (ClientDisconnect, ValueError, RecursionError):
        return Response(status_code=400)
    except StorageError as error:
        logger.error("webhook.cannot_store %s", error)
        return _later()
    return Response(status_code=200)


def _refusal(request: Request, expected: bytes) -> int | None:
    """Return 401 without a secret, 403 with a wrong one; compared as bytes, in constant time."""
    given = [value for name, value in request.scope["headers"] if name == SECRET_HEADER]
    if not given:
        return 401
    same = [hmac.compare_digest(value, expected) for value in given]
    return None if len(given) == 1 and same[0] else 403


async def _body(request: Request) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPDATE_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _later() -> Response:
    return Response(status_code=503, headers={"Retry-After": "2"})
