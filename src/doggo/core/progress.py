"""How a long stage tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total) from the process that runs the stage; cheap to call often."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
