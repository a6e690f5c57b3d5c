"""The parts that carrying a call out may need, in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from doggo.telegram_sim.backlog import Backlog
from doggo.telegram_sim.events import Events
from doggo.telegram_sim.hooks import Hooks
from doggo.telegram_sim.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What is behind the methods.

    Attributes:
        started_at: of the server, by its clock.
    """

    state: State
    events: Events
    backlog: Backlog
    hooks: Hooks
    clock: Callable[[], float]
    started_at: float
