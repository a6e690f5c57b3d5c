"""Is there room for what comes? Asked before a long stage, not after it failed.

Owns the question only: how many bytes a stage needs is the stage's knowledge.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from doggo.core.errors import StorageError

HEADROOM_BYTES = 64 * 2**20
"""Left free beside what a stage asks for: the database and logs of the machine grow too."""


def free_bytes(path: Path) -> int:
    """Return the bytes free where `path` is, or will be once its folders are made."""
    return shutil.disk_usage(nearest_folder(path)).free


def on_one_disk(one: Path, other: Path) -> bool:
    """Return whether what is written at two paths, which need not exist, takes the same room."""
    return nearest_folder(one).stat().st_dev == nearest_folder(other).stat().st_dev


def need_disk(path: Path, needed_bytes: int, for_what: str) -> None:
    """Check that `needed_bytes` fit on the disk of `path`.

    Args:
        path: where the bytes will be written; it need not exist yet.
        for_what: completes "... is needed for", for the person who must make room.

    Raises:
        StorageError: there is less room than that, plus a little headroom.
    """
    free = free_bytes(path)
    if free < needed_bytes + HEADROOM_BYTES:
        raise StorageError(
            f"not enough disk at {nearest_folder(path)}: {megabytes(needed_bytes)} is needed for "
            f"{for_what} and {megabytes(free)} is free; free some space and run the same "
            "command again, or set DOGGO_HOME to another disk"
        )


def megabytes(size_bytes: int) -> str:
    """Return a size in words: "312 MB", "5.9 GB"."""
    if size_bytes >= 10**9:
        return f"{size_bytes / 10**9:.1f} GB"
    return f"{size_bytes / 10**6:.0f} MB"


def nearest_folder(path: Path) -> Path:
    """Return what is there of a path: itself, or the first above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
