"""The photos of an evaluation: labelled, readable, and perhaps not to be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledPhoto:
    """A photo whose breed is known.

    Attributes:
        photo_id: its id, or any name that is unique in the evaluation.
        breed: key of its breed.
        found_at: where its owner finds it: a path or an object's address, shown in the report.
        may_be_shown: whether the report may show the picture itself.
        read: gives its raw bytes; may raise OSError or StorageError.
    """

    photo_id: str
    breed: str
    found_at: str
    may_be_shown: bool
    read: Callable[[], bytes]


def printable(text: str) -> str:
    """Return the text without what UTF-8 cannot hold: a file's name may be bytes that are none."""
    return text.encode("utf-8", "replace").decode("utf-8")
