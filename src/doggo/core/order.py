"""An order of photos of which any number of the first is a fair sample."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from doggo.core.records import ManifestRow

_SEED = 0


def fair_order(rows: Iterable[ManifestRow]) -> tuple[ManifestRow, ...]:
    """Return the photos in an order that is drawn by their ids alone: always the same one."""
    sorted_rows = sorted(rows, key=lambda row: row.photo_id)
    places = np.random.default_rng(_SEED).permutation(len(sorted_rows))
    return tuple(sorted_rows[place] for place in places)
