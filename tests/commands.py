"""The command line in a process of its own, as tests run it."""

from __future__ import annotations

import json
import os
import re
import signal
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

    def other_lines(self) -> list[str]:
        """Return what it said on stderr that is no progress."""
        return [line for line in self.err.splitlines() if not _PROGRESS.match(line)]


_PROGRESS = re.compile(r"[a-z ]+: [\d,]+ of [\d,]+")


def run_doggo(home: Path, *words: object, cwd: Path | None = None, **env: str) -> Done:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "doggo", *map(str, words)],
        env={**os.environ, "DOGGO_HOME": str(home), **env},
        cwd=cwd or home.parent,  # away from a developer's .env
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that is under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._said = ""

    def wait_for(self, word: str) -> None:
        """Return once it says a line on stderr that begins with a word."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said += line
            if line.startswith(word):
                return
        raise AssertionError(f"it never said {word!r}:\n{self._said}")

    def press_ctrl_c(self) -> None:
        """Send what a terminal does: the process and its workers get it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Done:
        """Return how it ended."""
        out, err = self.process.communicate(timeout=120)
        return Done(self.process.returncode, out, self._said + err)


def start_doggo(home: Path, *words: object) -> Running:
    """Start the command line in a process group of its own."""
    return Running(
        subprocess.Popen(
            [sys.executable, "-m", "doggo", *map(str, words)],
            env={**os.environ, "DOGGO_HOME": str(home)},
            cwd=home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Whoever started the tests in the background may have had SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    )


def decoding_processes() -> list[psutil.Process]:
    """Return this process's decoding children: others, such as servers, may be there too."""
    found = psutil.Process().children()
    return [child for child in found if "doggo.vision.workers" in child.cmdline()]
