"""What goes wrong on purpose: which calls, how often, and how.

Owns the rules and the choice; the edges carry it out. Probabilities draw from a seed, so a
rehearsal can be repeated.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What a fault does."""

    TOO_MANY = "429"  # with retry_after
    SERVER_ERROR = "500"
    FORBIDDEN = "403"  # the bot was blocked by the user
    HANG = "hang"  # nothing is done; the connection is dropped after `seconds`
    SLOW = "slow"  # done as asked, after `seconds`
    LOST = "lost"  # done as asked, but the answer never arrives
    TRUNCATED = "truncated"  # a file ends in the middle
    DUPLICATE = "duplicate"  # an update is delivered twice
    REORDER = "reorder"  # an update is delivered after the next one of its chat


OF_UPDATES = frozenset({Trouble.DUPLICATE, Trouble.REORDER})


@dataclass(kw_only=True, slots=True)
class Fault:
    """A rule.

    Attributes:
        method: of the Bot API; `download` for files, `*` for every one. Ignored for updates.
        chat_id: None for every chat.
        times: how often at most; None: without end.
        probability: with which a call that fits is hit.
        retry_after_s: that a 429 tells.
        seconds: of a hang or a slow answer.
        seed: of the draws.
    """

    trouble: Trouble
    method: str = "*"
    chat_id: int | None = None
    times: int | None = 1
    probability: float = 1.0
    retry_after_s: int = 1
    seconds: float = 30.0
    seed: int = 0


class Faults:
    """The rules in force; used by several threads at once."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, random.Random]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a rule in force, after those that are."""
        with self._lock:
            self._rules.append((fault, random.Random(fault.seed)))

    def clear(self) -> None:
        """Let everything go well again."""
        with self._lock:
            self._rules.clear()

    def hit(self, method: str, chat_id: int | None) -> Fault | None:
        """Return the first rule that hits a call, used up by one; None if it goes well."""
        if not self._rules:
            return None
        return self._take(lambda rule: _is_about(rule, method.lower()), chat_id)

    def befalls(self, chat_id: int) -> Trouble | None:
        """Return what happens to a new update of a chat; None if nothing does."""
        if not self._rules:
            return None
        hit = self._take(lambda rule: rule.trouble in OF_UPDATES, chat_id)
        return hit.trouble if hit else None

    def _take(self, fits: Callable[[Fault], bool], chat_id: int | None) -> Fault | None:
        with self._lock:
            for place, (rule, draws) in enumerate(self._rules):
                if not fits(rule) or (rule.chat_id is not None and rule.chat_id != chat_id):
                    continue
                if draws.random() >= rule.probability:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        del self._rules[place]
                return rule
        return None


def _is_about(rule: Fault, method: str) -> bool:
    if rule.trouble in OF_UPDATES:
        return False
    if rule.trouble is Trouble.TRUNCATED:
        return method == "download"
    # Polls and downloads fail only by name: they would use up what was meant for the calls.
    return rule.method.lower() == method or (
        rule.method == "*" and method not in ("getupdates", "download")
    )
