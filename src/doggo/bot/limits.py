"""How fast messages may leave: pure arithmetic over a clock that the caller reads.

Telegram publishes no exact numbers: about one message a second in a chat with short bursts,
20 a minute in a group, 30 a second in all (core.telegram.org/bots/faq, "My bot is hitting
limits"). What is exceeded all the same comes back as 429 with a pause to keep.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most `most` in any `window_s` seconds, of which `burst` may come at once.

    Steady flow is (most - burst) a window: then no window, wherever it begins, holds more.
    """

    most: int
    window_s: float
    burst: int = 1

    @property
    def interval_s(self) -> float:
        """Seconds between two in steady flow."""
        return self.window_s / max(self.most - self.burst, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What holds for one bot; numbers of Telegram's FAQ."""

    overall: Limit = Limit(most=30, window_s=1.0, burst=2)
    private: Limit = Limit(most=6, window_s=3.0, burst=3)
    group: Limit = Limit(most=20, window_s=60.0, burst=3)


class Pace:
    """Keeps one limit: the generic cell rate algorithm (ATM Forum, Traffic Management 4.0)."""

    __slots__ = ("_full_at", "_limit")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._full_at = float("-inf")

    def free_at(self) -> float:
        """Return from when on one more may go."""
        return self._full_at - (self._limit.burst - 1) * self._limit.interval_s

    def take(self, now: float) -> None:
        """Count one that goes now."""
        self._full_at = max(self._full_at, now) + self._limit.interval_s

    def is_idle(self, now: float) -> bool:
        """Return whether nothing that went is remembered any more."""
        return self._full_at <= now
