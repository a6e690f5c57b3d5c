"""Small JSON objects in files: written canonically, read with errors in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.storage.buckets import explained

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
    try:
        values = json.loads(data)
    except ValueError as error:
        raise damaged(path) from error
    if not isinstance(values, dict):
        raise damaged(path)
    return values


def damaged(path: Path) -> StorageError:
    """Return the error for a file whose contents cannot be what was written."""
    return StorageError(f"{path} is damaged or was altered; restore it with `doggo restore`")
