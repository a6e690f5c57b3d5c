"""Who says otherwise: for each file in conflict another one that gives its picture another breed.

Owns the words in which a conflict is told, and how it is solved. They are made when they are
asked for, of what the ledger has then: files move.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from doggo.core.breeds import title
from doggo.core.records import Outcome, Source
from doggo.storage.ledger import Filing
from doggo.storage.photos import PhotoStore

HOW_TO_SOLVE = (
    "to solve a conflict move or delete the wrong file and run intake on the folder that held it, "
    "or run `doggo intake --relabel` on the right one"
)
"""What an owner does about a conflict."""


class Conflicts:
    """What the files say of the pictures of some photos, and of their near duplicates."""

    def __init__(self, store: PhotoStore, photo_ids: Collection[str]) -> None:
        """Ask the ledger about the groups of these photos."""
        groups = store.groups(photo_ids)
        self._group_of = groups
        self._filed: dict[str, list[Filing]] = defaultdict(list)
        self._own: dict[str, list[Filing]] = defaultdict(list)
        for filing in store.ledger.filings(groups):
            if filing.source.outcome is not Outcome.OVERRULED:
                photo_id = filing.source.photo_id or ""
                self._filed[groups[photo_id]].append(filing)
                self._own[photo_id].append(filing)

    def file_of(self, photo_id: str) -> tuple[str, str]:
        """Return where a file of a photo lies, and its breed."""
        return _first(self._own[photo_id]) or (photo_id, "")

    def against(self, photo_id: str, breed: str) -> str:
        """Return one line: which other breed a file of a photo is filed under, and where."""
        group = self._group_of.get(photo_id, "")
        others = [filing for filing in self._filed[group] if filing.source.breed != breed]
        other = _first(others)
        if other is None:
            return "the same picture is filed under two breeds"
        path, other_breed = other
        return f"the same picture is filed under {title(other_breed)}: {path}"


def explained(store: PhotoStore, entries: Sequence[Source]) -> list[Source]:
    """Return entries of the ledger; those in conflict say which file is against them."""
    photo_ids = {entry.photo_id for entry in entries if entry.outcome is Outcome.CONFLICT}
    conflicts = Conflicts(store, {photo_id for photo_id in photo_ids if photo_id})
    return [
        replace(entry, detail=conflicts.against(entry.photo_id or "", entry.breed))
        if entry.outcome is Outcome.CONFLICT
        else entry
        for entry in entries
    ]


def _first(filings: Iterable[Filing]) -> tuple[str, str] | None:
    """Return path and breed of a file, of one that lies there still if there is any."""
    files = ((path, filing.source.breed) for filing in filings for path in filing.paths)
    return min(files, key=lambda file: (not os.path.exists(file[0]), file), default=None)  # noqa: PTH110
