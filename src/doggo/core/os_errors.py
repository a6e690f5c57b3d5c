"""What the operating system refuses, as one line that says what to do.

Owns the words for its error numbers. Knows nothing of what was being done: who did it says so.
"""

from __future__ import annotations

import errno

from doggo.core.errors import StorageError


class explained:  # noqa: N801 - reads as a statement: with explained("read x"):
    """Turn what the operating system refuses into a StorageError that says what was `doing`."""

    # No generator under @contextmanager: it is entered for every photo, and that takes 3 times
    # as long.
    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StorageError(f"cannot {self._doing}: {explain_os_error(error)}") from error


def explain_os_error(error: OSError) -> str:
    """Return what went wrong and what to do, in words."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; free some space and run the same command again"
        case errno.EACCES | errno.EPERM:
            return "permission denied; check the owner and mode of that path"
        case errno.EROFS:
            return "the disk is read-only"
        case errno.ENOENT:
            return "it is not there"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file is where a folder should be"
        case _:
            return error.strerror or str(error)
