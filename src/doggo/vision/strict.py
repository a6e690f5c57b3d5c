"""Reading JSON that must be exactly what was written: every deviation is a ValueError.

Knows nothing of bundles. `what` names the value in the message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def same_keys(values: Mapping[str, object], names: set[str], what: str) -> None:
    """Check that exactly these keys are there."""
    if set(values) != names:
        wrong = ", ".join(sorted(set(values) ^ names))
        raise ValueError(f"missing or unknown field in {what}: {wrong}")


def mapping(value: object, what: str) -> Mapping[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object")
    return value


def sequence(value: object, what: str) -> Sequence[object]:
    """Return a JSON list."""
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list")
    return value


def text(value: object, what: str) -> str:
    """Return a JSON string."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be text, not {value!r}")
    return value


def text_or_none(value: object, what: str) -> str | None:
    """Return a JSON string or null."""
    return None if value is None else text(value, what)


def texts(value: object, what: str) -> dict[str, str]:
    """Return a JSON object whose values are strings."""
    return {name: text(item, what) for name, item in mapping(value, what).items()}


def whole(value: object, what: str) -> int:
    """Return a whole number; true and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what} must be a whole number, not {value!r}")
    return value


def number(value: object, what: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} must be a number, not {value!r}")
    try:
        found = float(value)
    except OverflowError as error:  # a whole number of hundreds of digits
        raise ValueError(f"{what} is too large a number") from error
    if not math.isfinite(found):
        raise ValueError(f"{what} must be a finite number, not {found}")
    return found
