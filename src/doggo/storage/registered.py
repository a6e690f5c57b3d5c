"""A registered version, from its number to a model that answers: the one way there.

Owns that what is loaded is what was registered: the bundle of the version in production must be
the one that its pointer promises. Knows nothing of gates or of who moves the pointer.
"""

from __future__ import annotations

from dataclasses import dataclass

from doggo.core.errors import NoModelError
from doggo.storage.bundles import BundleStore
from doggo.vision.pairs import Pair
from doggo.vision.predictor import Predictor


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A version, and the identity that its bundle must have; None if nothing promises one."""

    version: int
    sha256: str | None = None


def find_version(store: BundleStore, version: int | None = None) -> Registered:
    """Return a version, or the one in production, with the identity that the pointer promises.

    Raises:
        NoModelError: none was named, and nothing is in production.
        StorageError: the pointer cannot be read.
    """
    pointer = store.production()
    if version is None:
        if pointer is None:
            raise NoModelError(
                "no model is in production yet: `doggo run FOLDER` makes one from photos, "
                "`doggo bootstrap` one that needs none"
            )
        version = pointer.version
    if pointer is None or pointer.version != version:
        return Registered(version=version)
    return Registered(version=version, sha256=pointer.sha256)


def load_version(store: BundleStore, which: Registered, pair: Pair | None) -> Predictor:
    """Return a version's predictor, verified and warm.

    Args:
        pair: run on this one; None: the fastest that export allowed and this machine has.

    Raises:
        UsageError: there is no such version, or this machine cannot run `pair`.
        BundleError: the bundle is incomplete, was altered, or is not the one that was registered.
        StorageError: it cannot be fetched.
    """
    return Predictor.load(store.folder(which.version), pair=pair, expect_sha256=which.sha256)


def forced_pair(runtime: str) -> Pair | None:
    """Return the pair that an owner insists on, such as `onnxruntime-f32`; None for an empty name.

    Raises:
        UsageError: there is no such pair.
    """
    return Pair.parse(runtime) if runtime else None
