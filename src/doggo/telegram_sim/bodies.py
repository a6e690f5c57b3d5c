"""What a request of the bot carries: arguments from query, form, multipart or JSON, and files.

Owns the reading. Everything but JSON gives texts; what they mean is decided by each method's model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from doggo.telegram_sim.inputs import InputFile
from doggo.telegram_sim.objects import JsonObject, JsonValue
from doggo.telegram_sim.refusal import ApiError, bad_request

MOST_BYTES = 50 << 20
_MOST_FIELD_BYTES = 1 << 20


@dataclass(slots=True)
class Body:
    """The arguments of a call, and the files that came with it by their names."""

    arguments: JsonObject
    files: dict[str, InputFile] = field(default_factory=dict)


async def read(request: Request) -> Body:
    """Return what a request carries.

    Raises:
        ApiError: 400 for a body that is not what it says, 413 over 50 MiB.
    """
    query: JsonObject = dict(parse_qsl(request.url.query, keep_blank_values=True))
    if request.method == "GET":
        return Body(query)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced) > MOST_BYTES:
        raise ApiError(413, "Request Entity Too Large")
    if kind == "multipart/form-data":
        return await _multipart(request, query)
    data = await _whole(request)
    if kind == "application/json":
        return Body({**query, **_json(data)})
    return Body({**query, **dict(parse_qsl(data.decode(errors="replace"), keep_blank_values=True))})


async def _whole(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise ApiError(413, "Request Entity Too Large")
        parts.append(part)
    return b"".join(parts)


def _json(data: bytes) -> dict[str, JsonValue]:
    if not data:
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad_request("can't parse request: JSON object expected")
    return {name: value for name, value in found.items() if value is not None}


async def _multipart(request: Request, query: JsonObject) -> Body:
    body = Body(query)
    try:
        async with request.form(max_part_size=_MOST_FIELD_BYTES) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    data = await value.read()
                    body.files[name] = InputFile(value.filename or "file", data)
                else:
                    body.arguments[name] = value
    except (MultiPartException, HTTPException) as error:
        raise bad_request("can't parse multipart form") from error
    return body
