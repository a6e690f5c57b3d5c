"""Run an intake in a process of its own, to be killed or starved.

Usage: faults.py HOME FOLDER [--prepare]; prints its progress, or one line on stderr and exits
with 1. It settles after every batch, so that there are many places to be killed at.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.homes import Home

from doggo.core.errors import DoggoError
from doggo.intake import run

if __name__ == "__main__":
    home = Home.open(Path(sys.argv[1]))
    run._SETTLED_TOGETHER = 1  # type: ignore[misc]
    try:
        home.take_in(Path(sys.argv[2]), progress=lambda *step: print(*step, flush=True))
        if "--prepare" in sys.argv:
            home.prepare()
    except DoggoError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
