"""The chat page at `/`: a messenger in the browser.

Owns its headers. Everything comes from this package, and the policy sent along forbids the browser
anything else.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from doggo import __version__
from doggo.telegram_sim.telegram import Telegram

WEB = Path(__file__).parent.parent / "web"

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(telegram: Telegram) -> list[BaseRoute]:
    """Return the page and its static files."""
    templates = Environment(
        loader=FileSystemLoader(WEB / "templates"), autoescape=select_autoescape()
    )

    async def page(request: Request) -> HTMLResponse:
        shown = templates.get_template("simulate.html").render(
            bot=telegram.state.bot, version=__version__
        )
        return HTMLResponse(shown, headers=_HEADERS)

    return [
        Route("/", page),
        Mount("/static", StaticFiles(directory=WEB / "static"), name="static"),
    ]
