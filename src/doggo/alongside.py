"""Work that is done while a stage leaves a core free: libraries that load, parts of a later stage.

Owns the threads. Nothing depends on them: what they do not get done, or fail at, is done where it
is needed, and fails there.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from doggo.core.progress import Progress

if TYPE_CHECKING:
    from doggo.tracking.port import Tracker

log = logging.getLogger(__name__)

WORTH_A_THREAD = 1000
"""Photos still to be decoded that make loading libraries beside them worth while."""


class Libraries:
    """Imports torch, Lightning and MLflow: six seconds of one core.

    While worker processes decode many photos, a thread imports beside them; embedding may begin
    when it has torch and the networks. For a few photos that would only be slower: both sides
    hold the interpreter's lock.

    Use it as a context: an interpreter must not end while a thread is loading torch.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._thread: threading.Thread | None = None
        self._networks = threading.Event()

    def load_beside(self, progress: Progress, then: Callable[[], object]) -> Progress:
        """Return `progress`, with loading begun once many photos are seen.

        A folder with nothing in it fails at once, and loads nothing.

        Args:
            then: called in the thread when torch and the networks are there.
        """

        def told(stage: str, done: int, total: int) -> None:
            if self._thread is None and total - done >= WORTH_A_THREAD:
                self._begin(then)
            progress(stage, done, total)

        return told

    def wait_for_networks(self, then: Callable[[], object]) -> None:
        """Return when embedding can begin.

        Args:
            then: if nothing was begun, all is loaded now, and this is called in the calling
                thread as soon as torch and the networks are there.
        """
        if self._thread is None:
            thread = self._begin(lambda: None)
            self._networks.wait()
            then()
            thread.join()
        self._networks.wait()

    def wait(self) -> None:
        """Return when all is loaded."""
        (self._thread or self._begin(lambda: None)).join()

    def __enter__(self) -> Libraries:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.join()

    def _begin(self, then: Callable[[], object]) -> threading.Thread:
        load = partial(self._load, then)
        self._thread = threading.Thread(target=load, name="doggo-load", daemon=True)
        self._thread.start()
        return self._thread

    def _load(self, then: Callable[[], object]) -> None:
        # Importing makes two million objects that stay: looking for garbage among them takes a
        # second or two and finds none.
        collecting = gc.isenabled()
        gc.disable()
        try:
            import doggo.train.embedding

            then()
            self._networks.set()
            import doggo.export.run
            import doggo.train.run  # noqa: F401

            self._tracker.prepare()
        except Exception:
            log.info("libraries.failed_to_load", exc_info=True)
        finally:
            self._networks.set()
            if collecting:
                gc.enable()


class Meanwhile:
    """Takes the steps of a piece of work in a thread, until they are done or it is stopped.

    Use it as a context.
    """

    def __init__(self, steps: Iterator[None]) -> None:
        self._steps = steps
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="doggo-meanwhile", daemon=True)

    def __enter__(self) -> Meanwhile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def stopping(self) -> bool:
        """Whether no further step will be begun."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Return when the step in hand is done and no other will be begun."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for _ in self._steps:
                if self.stopping:
                    return
        except Exception:
            log.info("meanwhile.failed", exc_info=True)
