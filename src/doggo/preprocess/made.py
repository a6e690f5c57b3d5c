"""What preprocess hands back: the dataset, and the photos that it had to leave out."""

from __future__ import annotations

from dataclasses import dataclass

from doggo.core.records import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A photo in use that this dataset lacks; a later preprocess tries it again.

    Attributes:
        reason: a stable word; detail: one line for a person.
    """

    photo_id: str
    raw_uri: str
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A dataset, and who was to be in it and could not."""

    manifest: Manifest
    left_out: tuple[LeftOut, ...]
