"""What a description of the API cannot say, for the fuzzer: loaded by `schemathesis`."""

from __future__ import annotations

import base64
from typing import Any

import schemathesis
from hypothesis import strategies as st
from tests.tiny_bundle import COLOURS, picture

PHOTOS = [picture(colour) for colour in COLOURS.values()]

# A schema says "bytes" and "base64"; that they are a picture, it cannot say.
photos = st.sampled_from(PHOTOS)
schemathesis.openapi.format("binary", photos)
schemathesis.openapi.format("byte", photos.map(lambda photo: base64.b64encode(photo).decode()))
schemathesis.openapi.media_type("image/*", photos)
schemathesis.openapi.media_type("application/octet-stream", photos)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Name the model that is there, mostly: random names are all 404."""
    if path_parameters and len(str(path_parameters.get("name"))) != 3:
        return {**path_parameters, **{k: v for k, v in EXISTING.items() if k in path_parameters}}
    return path_parameters


EXISTING = {"name": "doggo", "version": "0"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make a valid inference request coherent: its shape counts its data, JSON or binary."""
    mode = case.meta.generation.mode if case.meta else None
    if not case.path.endswith("/infer") or mode is None or mode.is_negative:
        return
    if case.media_type == "application/octet-stream":
        case.headers["Inference-Header-Content-Length"] = "0"
    elif isinstance(case.body, dict):
        case.body = coherent(case.body)


def coherent(body: dict[str, Any]) -> dict[str, Any]:
    given = body["inputs"][0]
    one = base64.b64encode(PHOTOS[0]).decode()
    rows = given.get("data") or [one]
    flat = [row if isinstance(row, str) else (row or [one])[0] for row in rows]
    whole = {**given, "data": flat, "shape": [len(flat)], "parameters": None}  # nothing follows
    return {**body, "inputs": [whole]}
