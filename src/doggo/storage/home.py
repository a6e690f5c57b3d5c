"""The home folder itself: is it one, and may this user write to it?

Owns what is said where it is not, and how a database in it is read by who may only read. What
lies in it is the business of its buckets and databases.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from urllib.parse import quote

from doggo.core.errors import StorageError


def make_home(home: Path, *, write: bool = True) -> None:
    """Make the home unless it is there.

    Args:
        write: also check that this user may write to it.

    Raises:
        StorageError: it is no folder, cannot be made, or is not this user's.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StorageError(no_folder(home)) from error
    except OSError as error:
        raise StorageError(
            f"DOGGO_HOME is {home}, which cannot be made ({_why(error)}): set it to a folder that "
            "you may write to"
        ) from error
    if not os.access(home, os.R_OK | os.X_OK):
        raise StorageError(not_yours(home, "read"))
    if write and not os.access(home, os.W_OK):
        raise StorageError(not_yours(home, "write to"))


def may_write(database: Path) -> bool:
    """Whether this user may write to a SQLite database, which keeps its log beside its file."""
    return os.access(database.parent, os.W_OK) and (
        not database.exists() or os.access(database, os.W_OK)
    )


def read_only_uri(database: Path) -> str:
    """Return the URI by which SQLite reads a database, also one that this user may not write to.

    Reading needs the index of the log. Where there is none SQLite would make it; where it may
    not, nobody is writing, and it must be told so.
    """
    in_use = database.with_name(f"{database.name}-shm").exists()
    still = "" if in_use or may_write(database) else "&immutable=1"
    return f"file:{quote(str(database))}?mode=ro{still}"


def no_folder(home: Path) -> str:
    """Return what to say where something else is in the place of the home."""
    return (
        f"DOGGO_HOME is {home}, which is a file and no folder: move it away, or set DOGGO_HOME to "
        "a folder"
    )


def not_yours(path: Path, what: str) -> str:
    """Return what to say where this user may not `read` or `write to` a path of the home."""
    return (
        f"this user may not {what} {path}: change its owner or mode, or set DOGGO_HOME to a "
        "folder of your own"
    )


def _why(error: OSError) -> str:
    match error.errno:
        case errno.ENOTDIR:
            return "a file is where a folder above it should be"
        case errno.ENOENT:
            return "the system makes no folders there"
        case errno.EACCES | errno.EPERM:
            return "permission denied"
        case _:
            return (error.strerror or str(error)).lower()
