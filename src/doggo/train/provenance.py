"""Which source code is running, so that a model can name it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import doggo

UNKNOWN = "unknown"


def git_revision() -> str:
    """Return the commit of the checkout that this package runs from, or `unknown`.

    `-dirty` is added when tracked files were changed. An installed package is `unknown` even if
    its environment lies inside somebody's repository.
    """
    package = Path(doggo.__file__).resolve().parent
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() / "src" / "doggo" != package:
        return UNKNOWN
    described = _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return described or UNKNOWN


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the owner's git, found on PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
