"""Small JSON objects in files: written canonically, read with errors in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.os_errors import explained

Json = Mapping[str, object]


def to_bytes(values: Json) -> bytes:
    """Return an object as it is written: keys sorted, so equal objects are equal bytes."""
    return (json.dumps(values, sort_keys=True, indent=1) + "\n").encode()


def read_json(path: Path) -> Json:
    """Return the object in a file.

    Raises:
        StorageError: it cannot be read, or holds no JSON object.
    """
    with explained(f"read {path}"):
        data = path.read_bytes()
    return parse_json(data, str(path))


def parse_json(data: bytes, shown: str) -> Json:
    """Return the object in these bytes, which lie at `shown`.

    Raises:
        StorageError: they hold no JSON object.
    """
    try:
        values = json.loads(data)
    except ValueError as error:
        raise damaged(shown) from error
    if not isinstance(values, dict):
        raise damaged(shown)
    return values


def damaged(shown: str) -> StorageError:
    """Return the error for an object whose contents cannot be what was written."""
    return StorageError(f"{shown} is damaged or was altered; restore it with `doggo restore`")
