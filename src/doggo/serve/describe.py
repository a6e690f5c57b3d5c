"""How bodies and problems look in the API's own description (OpenAPI)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from doggo.serve.problems import KINDS

Responses = dict[int | str, dict[str, Any]]


def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a body that is parsed by hand, without references."""
    schema = shape.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(one) for one in part]
        if not isinstance(part, dict):
            return part
        named = part.get("$ref", "").rpartition("/")[2]
        return inlined(definitions[named]) if named else {k: inlined(v) for k, v in part.items()}

    return dict(inlined(schema))


def replies(media_type: str, shape: type[BaseModel], *slugs: str) -> Responses:
    """Return the entries of these problems, each told as `shape` in `media_type`."""
    found: Responses = {}
    for slug in slugs:
        kind = KINDS[slug]
        entry = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {media_type: {"schema": schema_of(shape)}},
            },
        )
        if entry["description"] != kind.title:
            entry["description"] += f"; or: {kind.title[0].lower()}{kind.title[1:]}"
    return found
