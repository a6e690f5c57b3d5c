"""The command line in a process of its own, as tests run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def line(self) -> str:
        """Return the one line it said on stderr, progress left out."""
        assert "Traceback" not in self.err
        said = [line for line in self.err.splitlines() if line.startswith("doggo: ")]
        assert len(said) == 1, self.err
        return said[0]


def run_doggo(home: Path, *words: object, **env: str) -> Done:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "doggo", *map(str, words)],
        env={**os.environ, "DOGGO_HOME": str(home), **env},
        cwd=home.parent,  # away from a developer's .env
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def decoding_processes() -> list[psutil.Process]:
    """Return this process's decoding children: others, such as servers, may be there too."""
    found = psutil.Process().children()
    return [child for child in found if "doggo.vision.workers" in child.cmdline()]
