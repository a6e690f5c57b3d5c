"""Which source code is running, so that a model can name it and a run be told from another."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import doggo

UNKNOWN = "unknown"
_FIGURES_DEPEND_ON = ("core", "nets", "train", "vision")
_LIBRARIES = ("lightning", "numpy", "timm", "torch")


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


@cache
def code_sha256() -> str:
    """Return a fingerprint of all code that a run's figures depend on: ours and the libraries'.

    Unlike the revision it is known in a changed checkout and in an installed package.
    """
    package = Path(doggo.__file__).resolve().parent
    digest = hashlib.sha256()
    for folder in _FIGURES_DEPEND_ON:
        for file in sorted((package / folder).rglob("*.py")):
            digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes() + b"\0")
    digest.update(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    return digest.hexdigest()


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
