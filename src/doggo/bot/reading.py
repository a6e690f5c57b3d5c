"""Tolerant access to JSON that strangers send: what is not as it should be, is not there.

Knows nothing of updates. Telegram's own sample updates break its schema, so nothing here raises.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_ID_BITS = 63


def child(value: object, name: str) -> Json:
    """Return an object inside an object, or an empty one."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def children(value: Json, name: str) -> list[Json]:
    """Return the objects of a list inside an object."""
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def number(value: Json, name: str) -> int | None:
    """Return an integer that fits a database, or None."""
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if -(2**_ID_BITS) <= found < 2**_ID_BITS else None


def words(value: Json, name: str, most: int) -> str:
    """Return a string of at most `most` characters that any database can hold, or an empty one."""
    found = value.get(name)
    if not isinstance(found, str):
        return ""
    # Halves of surrogate pairs cannot be encoded, NUL cannot be stored.
    clean = found[:most].encode("utf-8", "replace").decode("utf-8")
    return clean.replace("\0", "")
