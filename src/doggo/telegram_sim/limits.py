"""Telegram's limits on sending: about 1 message a second a chat, 20 a minute a group, 30 a second.

Owns the buckets. Exact numbers are unpublished (core.telegram.org/bots/faq): the bursts here are
ours. A refused call costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

CHAT_PER_S = 1.0
CHAT_BURST = 5
GROUP_PER_S = 20 / 60
GROUP_BURST = 20
ALL_PER_S = 30.0
ALL_BURST = 30


@dataclass(slots=True)
class _Bucket:
    per_s: float
    most: float
    tokens: float
    filled_at: float

    def fill(self, now: float) -> None:
        self.tokens = min(self.most, self.tokens + max(0.0, now - self.filled_at) * self.per_s)
        self.filled_at = now

    def wait_s(self) -> float:
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / self.per_s


@dataclass(slots=True)
class Counts:
    """How many sends there were, and which limit those over one broke."""

    sends: int = 0
    over: dict[str, int] = field(default_factory=lambda: {"chat": 0, "group": 0, "all": 0})


class SendLimits:
    """Counts the sends; says how long one that is over a limit must wait.

    Attributes:
        counts: kept whether the limits are enforced or not.
        enforced: whether `wait_s` refuses, or only counts.
    """

    def __init__(self, clock: Callable[[], float], *, enforced: bool = True) -> None:
        self.counts = Counts()
        self.enforced = enforced
        self._clock = clock
        self._all = _Bucket(ALL_PER_S, ALL_BURST, ALL_BURST, clock())
        self._chats: dict[int, _Bucket] = {}

    def wait_s(self, chat_id: int, *, group: bool) -> int:
        """Return 0 if a send may pass, or the whole seconds it must wait."""
        own = self._filled(chat_id, group=group)
        wait_s = max(own.wait_s(), self._all.wait_s())
        if not wait_s:
            return 0
        broken = "all" if not own.wait_s() else "group" if group else "chat"
        self.counts.over[broken] += 1
        return max(1, math.ceil(wait_s)) if self.enforced else 0

    def sent(self, chat_id: int, *, group: bool) -> None:
        """Count a send that Telegram took."""
        own = self._filled(chat_id, group=group)
        self.counts.sends += 1
        own.tokens = max(0.0, own.tokens - 1)
        self._all.tokens = max(0.0, self._all.tokens - 1)

    def _filled(self, chat_id: int, *, group: bool) -> _Bucket:
        now = self._clock()
        own = self._chats.get(chat_id)
        if own is None:
            per_s, most = (GROUP_PER_S, GROUP_BURST) if group else (CHAT_PER_S, CHAT_BURST)
            own = self._chats[chat_id] = _Bucket(per_s, most, most, now)
        own.fill(now)
        self._all.fill(now)
        return own
