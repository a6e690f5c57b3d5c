"""How long each stage took, and the seconds that loading libraries costs, spent alongside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doggo.results import Timing

if TYPE_CHECKING:
    from doggo.stores import Stores


class Stopwatch:
    """Wall seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.timings: list[Timing] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; a stage that fails is not noted."""
        started_s = time.perf_counter()
        yield
        self.timings.append(Timing(name, time.perf_counter() - started_s))


@contextmanager
def libraries_loading(stores: Stores) -> Iterator[Callable[[], None]]:
    """Import torch, Lightning and MLflow in a thread while worker processes decode photos.

    They take seven seconds; the parent process of a decoding stage has little to do.

    Yields:
        A function that waits until they are there. What failed to import fails again, and is
        reported, where it is used.
    """

    def load() -> None:
        try:
            import doggo.export.run
            import doggo.train.run  # noqa: F401

            stores.tracker.prepare()
        except Exception:  # noqa: BLE001, S110 - see the docstring
            pass

    thread = threading.Thread(target=load, name="doggo-load", daemon=True)
    thread.start()
    try:
        yield thread.join
    finally:
        # An interpreter must not end while a thread is in the middle of loading torch.
        thread.join()
