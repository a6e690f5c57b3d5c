"""What a check of the doctor found: one line, its level, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a subject is."""

    OK = "OK"
    WARN = "WARN"  # works, but something is missing or will be
    FAIL = "FAIL"  # does not work


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report; `mend` is what to do, empty where nothing needs doing."""

    check: str
    level: Level
    detail: str
    mend: str = ""
