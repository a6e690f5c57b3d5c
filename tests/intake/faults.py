"""Run an intake in a process of its own, to be killed or starved.

Usage: faults.py HOME FOLDER; prints the counts as JSON, or one line on stderr and exit code 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.homes import Home, counts

from doggo.core.errors import DoggoError

if __name__ == "__main__":
    home = Home.open(Path(sys.argv[1]))
    try:
        print(json.dumps(counts(home.take_in(Path(sys.argv[2])))))
        if "--prepare" in sys.argv:
            home.prepare()
    except DoggoError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
