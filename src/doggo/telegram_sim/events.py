"""What happens, told to whoever watches: the chat page.

Owns the list of watchers. Telling costs nothing while nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Event: TypeAlias = dict[str, object]
Watcher: TypeAlias = Callable[[Event], object]


class Events:
    """Tells watchers, in the thread of whoever caused the event."""

    def __init__(self) -> None:
        self._watchers: tuple[Watcher, ...] = ()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with every event from now on; returns what ends that."""
        self._watchers = (*self._watchers, watcher)

        def leave() -> None:
            self._watchers = tuple(one for one in self._watchers if one is not watcher)

        return leave

    def tell(self, what: str, **details: object) -> None:
        """Tell every watcher; `details` must be JSON."""
        if not self._watchers:
            return
        event: Event = {"event": what, **details}
        for watcher in self._watchers:
            watcher(event)
