"""HEAD for whatever answers GET, as RFC 9110 asks: monitors of uptime begin with it.

Owns that translation. FastAPI's routes answer the methods that they name and no other, and one
that names HEAD too is described twice.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware; what sends the answer (uvicorn) leaves out the body of one to HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
