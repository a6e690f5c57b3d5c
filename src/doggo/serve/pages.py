"""The pages: try a photo (`/`) and the API's documentation (`/docs`).

Owns their headers and what the documentation shows. Everything comes from this package, so the
pages work without a network, and the policy sent along forbids the browser anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from doggo import __version__
from doggo.serve.problems import KINDS
from doggo.vision.photo import MAX_BYTES

WEB = Path(__file__).parent.parent / "web"

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A member of a JSON answer, as the documentation shows it."""

    name: str
    kind: str
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One status that an operation answers with."""

    status: str
    about: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    summary: str
    about: str
    accepts: tuple[str, ...]
    samples: tuple[str, ...]
    replies: tuple[Reply, ...]


def add_pages(app: FastAPI) -> None:
    """Add `/`, `/docs` and their static files to `app`."""
    templates = Environment(
        loader=FileSystemLoader(WEB / "templates"), autoescape=select_autoescape()
    )
    templates.globals["version"] = __version__
    templates.filters["code"] = _code

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return _html(templates.get_template("page.html").render(max_bytes=MAX_BYTES))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        shown = tuple(operations(app.openapi()))
        template = templates.get_template("docs.html")
        return _html(template.render(operations=shown, problems=KINDS.values()))

    app.mount("/static", StaticFiles(directory=WEB / "static"), name="static")


def operations(openapi: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield what an OpenAPI document describes, in its order."""
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, methods in openapi["paths"].items():
        for method, entry in methods.items():
            samples = entry.get("x-codeSamples", ())
            yield Operation(
                method=method.upper(),
                path=path,
                summary=entry.get("summary", ""),
                about=entry.get("description", ""),
                accepts=tuple(entry.get("requestBody", {}).get("content", ())),
                samples=tuple(sample["source"] for sample in samples),
                replies=tuple(
                    Reply(
                        status=status,
                        about=reply["description"],
                        fields=tuple(_fields(reply, schemas)) if status == "200" else (),
                    )
                    for status, reply in sorted(entry["responses"].items())
                ),
            )


def _html(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers=_HEADERS)


def _code(text: str) -> Markup:
    """Return the text with its `quoted` words set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _fields(reply: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Field]:
    for content in reply.get("content", {}).values():
        yield from _members(content.get("schema", {}), schemas, "")


def _members(schema: Mapping[str, Any], schemas: Mapping[str, Any], prefix: str) -> Iterator[Field]:
    schema = _resolve(schema, schemas)
    for name, member in schema.get("properties", {}).items():
        inner = _resolve(member, schemas)
        many = inner.get("type") == "array"
        item = _resolve(inner["items"], schemas) if many else inner
        kind = _kind(item)
        yield Field(
            name=prefix + name,
            kind=f"list of {kind}" if many else kind,
            about=member.get("description") or item.get("description", ""),
        )
        if "properties" in item:
            yield from _members(item, schemas, f"{prefix}{name}{'[]' if many else ''}.")


def _resolve(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _resolve(option, schemas)
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = schemas[reference.rpartition("/")[2]]
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(schema["enum"])
    return str(schema.get("const") or schema.get("type", ""))
