"""The tracker's registry follows the bundle store, and hears what people ask for there.

Owns the order of looking, asking the gate and telling, under the store's lock. What is right is
decided in `mirror.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from doggo.core.errors import BundleError, GateError, UsageError
from doggo.registry.mirror import (
    PRODUCTION,
    Changes,
    Request,
    Shown,
    Target,
    changes,
    requests,
    target,
)
from doggo.storage.bundles import BundleStore, version_key
from doggo.tracking.port import TrackedVersion, Tracker
from doggo.tracking.tolerant import TolerantTracker
from doggo.vision.bundle import bundle_sha256, parse_bundle

Promote = Callable[[int], object]


def mirror(store: BundleStore, tracker: TolerantTracker) -> None:
    """Show every version and the production pointer in the tracker's registry.

    A tracker that fails costs its one line; `sync` tells it later.
    """
    tracker.prepare()  # takes seconds: nobody needs to wait for it at the lock
    with store.exclusive():
        tracker.attempt(lambda: _tell(tracker, changes(*_look(store, tracker))))


def sync(store: BundleStore, tracker: Tracker, promote: Promote) -> Sequence[str]:
    """Take a `production` alias that a person moved through the gate; put the rest right.

    A move is a person's if doggo did not leave the alias there. An alias that merely stayed
    behind, because the tracker did not answer, is brought to where the pointer is.

    Args:
        promote: asks the gate to move the pointer to a version; raises GateError.

    Returns:
        What was done, a line each; empty if both agreed.

    Raises:
        StorageError: the tracker does not answer.
    """
    if not changes(*_look(store, tracker)):
        return []  # the usual case leaves the lock to those who write
    with store.exclusive():
        asked = requests(*_look(store, tracker))
        lines = [_take(request, promote) for request in asked]
        rest = changes(*_look(store, tracker))
        _tell(tracker, rest)
    answered = {request.model for request in asked}
    return lines + [
        move.to_text()
        for move in rest.aliases
        if move.alias == PRODUCTION
        and move.from_version != move.to_version
        and move.model not in answered
    ]


def _take(request: Request, promote: Promote) -> str:
    try:
        promote(request.version)
    except (GateError, UsageError) as error:
        return f"{request.model}: {error}; the alias was put back"
    return f"{request.model}: production moved to version {request.version}, as the alias asked"


def _tell(tracker: Tracker, todo: Changes) -> None:
    for version in todo.versions:
        tracker.mirror_version(version)
    for move in todo.aliases:
        tracker.move_alias(move.model, move.alias, move.to_version)


def _look(store: BundleStore, tracker: Tracker) -> tuple[Target, Shown]:
    pointer = store.production()
    wanted = target(
        _versions(store), store.history().moves, None if pointer is None else pointer.version
    )
    return wanted, {model: tracker.registered(model) for model in wanted.models}


def _versions(store: BundleStore) -> list[TrackedVersion]:
    found: list[TrackedVersion] = []
    for version in store.versions():
        folder = store.papers(version)
        try:
            bundle = parse_bundle(folder)
        except BundleError:
            continue  # damaged: `doggo models list` says so
        found.append(
            TrackedVersion(
                model=bundle.name,
                version=version,
                uri=store.bucket.uri(version_key(version)),
                run_id=bundle.run_id,
                tags={"sha256": bundle_sha256(folder), "recipe": bundle.recipe},
            )
        )
    return found
