"""Production: which version answers, how one gets there and how it leaves.

Owns the joint between the registry, the dataset that its gate compares models on, and the
tracker's mirror. Knows nothing of how a version is made (`release.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from doggo.core.errors import StorageError
from doggo.core.progress import Progress, silent
from doggo.registry import run as registry
from doggo.registry import sync as aliases
from doggo.registry.compare import Dataset
from doggo.results import Synced
from doggo.storage.audit import Action, Move
from doggo.storage.manifests import newest, read_raw
from doggo.storage.shards import PixelReader
from doggo.stores import Stores

if TYPE_CHECKING:
    from doggo.registry.gate import GateDecision

log = logging.getLogger(__name__)


def promote(
    stores: Stores,
    version: int,
    *,
    why: str,
    accept_labels: bool = False,
    force: str | None = None,
    progress: Progress = silent,
) -> GateDecision:
    """Move `production` to a version through the gate, and show it in the tracker."""
    decision = registry.promote(
        stores.bundles,
        version,
        dataset=dataset(stores),
        why=why,
        accept_labels=accept_labels,
        force=force,
        pair=stores.forced_pair,
        progress=progress,
    )
    mirror(stores)
    return decision


def rollback(stores: Stores, *, why: str) -> Move:
    """Put the previous production version back, and show it in the tracker."""
    move = registry.rollback(stores.bundles, why=why)
    mirror(stores)
    return move


def sync(stores: Stores, *, progress: Progress = silent) -> Synced:
    """Take a `production` alias that a person moved in the tracker's pages through the gate.

    What the gate refuses is put back, so that the pages show what is served; so is an alias that
    stayed behind.
    """
    ask = partial(promote, stores, why="alias moved in the tracker", progress=progress)
    return Synced(lines=aliases.sync(stores.bundles, stores.tracker, ask))


def why_out(version: int, moves: Sequence[Move]) -> Sequence[str]:
    """Return in one line how a version that was in production left it; nothing if it did not.

    Args:
        moves: the audit, oldest first.
    """
    left = next((move for move in reversed(moves) if move.from_version == version), None)
    if left is None or moves[-1].to_version == version:
        return ()
    how = (
        f"it was rolled back by {left.actor}"
        if left.action is Action.ROLLBACK
        else f"version {left.to_version} took its place"
    )
    return (
        f"{how} at {left.at} ({left.why}); version {moves[-1].to_version} answers: "
        f"`doggo models promote {version}` puts this one back",
    )


def dataset(stores: Stores) -> Dataset | None:
    """Return the newest dataset and its pixels.

    None before the first preprocess, and where it is damaged: the gate will miss it.
    """
    try:
        manifest = newest(stores.processed)
    except StorageError as error:
        log.warning("%s", error)
        return None
    if manifest is None:
        return None
    return Dataset(
        manifest=manifest,
        pixels=PixelReader(stores.processed),
        read_raw=partial(read_raw, stores.raw),
    )


def mirror(stores: Stores) -> None:
    """Show every version and the production pointer in the tracker's registry."""
    aliases.mirror(stores.bundles, stores.tracker)
