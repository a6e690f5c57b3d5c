"""Which model answers, and how another one takes its place while photos keep coming.

Owns the watch over what should be served and the swap. Knows nothing of HTTP or batches: the
batcher reads `Models.current` for each photo. A new bundle is loaded (its hashes are checked
there), smoke-tested and warmed beside the old one; only then does `current` change, in one
assignment. A bundle that fails any of it is logged once and the old one goes on serving.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from doggo.core.errors import DoggoError, NoModelError
from doggo.storage.bundles import BundleStore
from doggo.storage.registered import Registered, load_version
from doggo.vision.cores import available_cores
from doggo.vision.pairs import Pair
from doggo.vision.predictor import Predictor

logger = logging.getLogger(__name__)

POLL_S = 0.5
POLL_FAR_S = 5.0  # a look at an object store is a request that is paid for
RETRY_S = 30.0  # a bundle never changes, but the disk it lies on may have failed for a moment

NO_MODEL_YET = "no model yet (`doggo run FOLDER` or `doggo bootstrap` makes one)"
"""What to say of what is served where nothing is in production."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What should be served.

    Attributes:
        name: a version, or a folder.
        sha256: identity that its bundle must have; None if nothing promises one.
    """

    name: str
    sha256: str | None = None


class ModelSource(Protocol):
    """Says what should be served, and brings it."""

    def wanted(self) -> Wanted | None:
        """Return what should be served, None for nothing; cheap, asked often."""
        ...

    @property
    def poll_s(self) -> float:
        """Pause between two looks."""
        ...

    def load(self, wanted: Wanted) -> Predictor:
        """Return that model; slow. Raises a DoggoError if it cannot be used."""
        ...


class FixedBundle:
    """One bundle folder, whatever production is (`doggo serve --bundle`)."""

    poll_s = POLL_S

    def __init__(self, folder: Path, pair: Pair | None = None) -> None:
        self._folder = folder
        self._pair = pair

    def wanted(self) -> Wanted | None:
        return Wanted(name=str(self._folder))

    def load(self, wanted: Wanted) -> Predictor:
        return Predictor.load(self._folder, pair=self._pair)


class ProductionBundle:
    """What the production pointer names, now and after every promotion and rollback."""

    def __init__(self, store: BundleStore, pair: Pair | None = None) -> None:
        self._store = store
        self._pair = pair

    def wanted(self) -> Wanted | None:
        pointer = self._store.production()
        if pointer is None:
            return None
        return Wanted(name=str(pointer.version), sha256=pointer.sha256)

    @property
    def poll_s(self) -> float:
        return POLL_FAR_S if self._store.bucket.far else POLL_S

    def load(self, wanted: Wanted) -> Predictor:
        which = Registered(version=int(wanted.name), sha256=wanted.sha256)
        return load_version(self._store, which, self._pair)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A bundle that should be served and cannot be.

    Attributes:
        wanted: which; None if not even that could be read.
        reason: one line for the owner.
    """

    wanted: Wanted | None
    reason: str


class Models:
    """The model in service and the thread that watches for its successor.

    Args:
        source: says what should be served.
        on_swap: told a model that has just been taken into service.
        on_refusal: told once about each bundle that was refused.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        on_swap: Callable[[Predictor], None] = lambda _: None,
        on_refusal: Callable[[Refusal], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._on_swap = on_swap
        self._on_refusal = on_refusal
        self._poll_s = source.poll_s
        self._serving: Wanted | None = None
        self._retry_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="doggo-models", daemon=True)
        self.current: Predictor | None = None
        self.refusal: Refusal | None = None

    def in_service(self) -> Predictor:
        """Return the model that answers.

        Raises:
            NoModelError: none does.
        """
        if self.current is not None:
            return self.current
        if self.refusal is None:
            raise NoModelError("no model is in production yet")
        # The reason may name paths of this machine; the owner finds it in the log.
        raise NoModelError("the model that should be in production was refused; the log says why")

    def start(self) -> None:
        """Watch for what should be served, in a thread, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; `current` goes on answering."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Compare what is served with what should be, and swap if they differ.

        A bundle that cannot be used is no error here: it is remembered in `refusal`, the model
        before it goes on answering, and it is tried again every half minute.
        """
        wanted: Wanted | None = None
        try:
            wanted = self._source.wanted()
            if wanted is None or wanted == self._serving:
                self.refusal = None
                return
            if self._refused(wanted) and time.monotonic() < self._retry_at:
                return
            model = self._source.load(wanted)
            model.smoke_test()
            warm(model)
        except DoggoError as error:
            self._refuse(Refusal(wanted=wanted, reason=str(error)))
        except Exception as error:  # noqa: BLE001 - a runtime may raise anything on a bad graph
            self._refuse(Refusal(wanted=wanted, reason=f"{type(error).__name__}: {error}"))
        else:
            self._take(wanted, model)

    def _take(self, wanted: Wanted, model: Predictor) -> None:
        self.current = model
        self._serving = wanted
        self.refusal = None
        logger.info("model_in_service name=%s version=%d", model.model.name, model.model.version)
        self._on_swap(model)

    def _refuse(self, refusal: Refusal) -> None:
        known = self.refusal == refusal
        self.refusal = refusal
        self._retry_at = time.monotonic() + RETRY_S
        if not known:
            wanted = refusal.wanted and refusal.wanted.name
            logger.error("model_refused wanted=%s reason=%s", wanted, refusal.reason)
            self._on_refusal(refusal)

    def _refused(self, wanted: Wanted) -> bool:
        return self.refusal is not None and self.refusal.wanted == wanted

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()


def warm(model: Predictor) -> None:
    """Run photos through every thread of the runtime: its first runs are slow."""
    size_px = model.bundle.view.size_px
    model.infer(np.zeros((2 * available_cores(), size_px, size_px, 3), np.uint8))
