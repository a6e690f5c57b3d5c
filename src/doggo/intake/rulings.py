"""What an intake decided on a chunk of files: plain data, to be given its effects.

Owns the words for it. Knows neither the rules (`decide.py`) nor the effects (`settle.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doggo.core.records import Photo, Source


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one file became. `near` tells that an added photo joined a group."""

    source: Source
    near: bool = False


@dataclass(slots=True)
class Decision:
    """The effects that a chunk of files shall have.

    Attributes:
        rulings: one a file, in order.
        photos: to be stored, with their raw objects.
        restored: stored photos whose raw object shall be written again.
        set_aside: ids of photos that were in use before this chunk and are now in conflict.
        merged: group id → the group id that takes its place.
        mended: stored photos by id, as they are now: with another breed, or no more in conflict.
            One that is in `set_aside` too came into conflict after that.
        retracted: (source_sha256, breed) of the ledger's entries that no longer stand.
        met: what became of the files that the ledger knew, in order.
    """

    rulings: list[Ruling] = field(default_factory=list)
    photos: dict[str, Photo] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)
    mended: dict[str, Photo] = field(default_factory=dict)
    retracted: set[tuple[str, str]] = field(default_factory=set)
    met: list[Source] = field(default_factory=list)
