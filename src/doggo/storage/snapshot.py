"""A home as of one moment, while others write to it.

doggo writes what points (a database, the production pointer, a dataset's manifest) after what it
points to. So that is copied aside before anything else, what is written last first of all; only
then is it listed what else there is. All that the copies point to was written before they were, and
is on the list. What points and came later is left out: what it points to may be lacking.

Owns that order and what is left out. Knows nothing of the file that a backup is (`archive.py`).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.storage.disk import need_disk
from doggo.storage.home import read_only_uri
from doggo.storage.whole import UNFINISHED

CACHES = frozenset({"cache", "work"})
"""Folders directly under the home that are made again, or held scratch files."""

_SMALLEST_PAGE_BYTES = 512
_SIDE_FILES = ("-wal", "-shm", "-journal")
_SQLITE = b"SQLite format 3\x00"
_FOR_ALL = 0o055
_MANIFEST = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A file to keep: `name` is its path under the home; `source` holds its bytes and mode."""

    name: str
    source: Path
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What there is of a home, what points first.

    Attributes:
        private_folders: mode of each folder (".": the home) that is not open to everybody.
        left_out: what is not in it, each with its reason.
    """

    files: Sequence[Kept]
    private_folders: Mapping[str, int]
    left_out: tuple[str, ...]


def take(home: Path, scratch: Path) -> Snapshot:
    """Return what there is of `home`; what points is copied to the empty folder `scratch`.

    Raises:
        StorageError: there is no room for the copies, or a database cannot be copied.
        OSError: the disk refused.
    """
    return list_files(home, copy_aside(home, scratch))


def copy_aside(home: Path, scratch: Path) -> Mapping[Path, Path]:
    """Copy what points and return each file's copy, in the order in which they were made."""
    ranked = sorted(
        (rank, path, size)
        for path, size in _plain_files(home, [])
        if (rank := _rank(home, path, size)) is not None
    )
    need_disk(scratch, sum(size for _, _, size in ranked), f"copies of the databases of {home}")
    copies = dict[Path, Path]()
    for number, (_, path, size) in enumerate(ranked):
        copy = scratch / str(number)
        try:
            if is_sqlite(path, size):
                _copy_database(path, copy)
            else:
                shutil.copyfile(path, copy)
            shutil.copystat(path, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
            continue  # removed since it was found
        copies[path] = copy
    return copies


def list_files(home: Path, copies: Mapping[Path, Path]) -> Snapshot:
    """Return the copies, and all files that there are now and that do not point."""
    left_out, others, late = list[str](), dict[Path, int](), list[Path]()
    for path, size in _plain_files(home, left_out):
        if path in copies:
            continue
        if _rank(home, path, size) in (None, _MANIFEST):
            # A manifest is pointed to, too: it may be newer than the first look and older than
            # the copy of what names it.
            others[path] = size
        else:
            late.append(path)
    left_out += [f"{path.relative_to(home)} (made while the backup was)" for path in late]
    for path in (*copies, *late):
        for end in _SIDE_FILES:
            others.pop(Path(f"{path}{end}"), None)

    def kept(path: Path, source: Path, size: int) -> Kept:
        return Kept(path.relative_to(home).as_posix(), source, size)

    return Snapshot(
        files=[
            *(kept(path, copy, copy.stat().st_size) for path, copy in copies.items()),
            *(kept(path, path, others[path]) for path in sorted(others)),
        ],
        private_folders=_private_folders(home),
        left_out=tuple(left_out),
    )


def is_sqlite(path: Path, size_bytes: int | None = None) -> bool:
    """Return whether a file is a SQLite database, judged by its first bytes.

    Args:
        size_bytes: its size where it is known: most files need not be opened then.
    """
    whole_pages = size_bytes is None or size_bytes % _SMALLEST_PAGE_BYTES == 0
    if not whole_pages and path.suffix != ".db":  # that may be one that was cut off
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _rank(home: Path, path: Path, size: int) -> int | None:
    """Return the place of what points in the order of copying; None for all other files.

    The tracker shows what production is; a version names its dataset; the latest dataset is named
    after its manifest was written, and that after the photos and places that it lists.
    """
    if path.name == "production":
        return 1
    if path.parent.name == "manifests":
        return 2 if path.name == "latest" else _MANIFEST
    try:
        if is_sqlite(path, size):
            return 4 if path.parent == home else 0
    except FileNotFoundError:
        pass  # removed since it was found
    return None


def _plain_files(home: Path, left_out: list[str]) -> Iterator[tuple[Path, int]]:
    """Yield every file to keep with its size; what is not one is added to `left_out`."""
    for here, names in _folders(home, left_out):
        for name in names:
            path = here / name
            if name.startswith(UNFINISHED) or name.endswith(".lock"):
                continue  # an unfinished write; a lock that means nothing elsewhere
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue  # removed since it was listed
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_size
            else:
                left_out.append(f"{path.relative_to(home)} (not a plain file)")


def _folders(home: Path, left_out: list[str]) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield every folder to keep with the names of its files."""
    for folder, subfolders, names in os.walk(home):
        here = Path(folder)
        links = [here / name for name in subfolders if (here / name).is_symlink()]
        left_out += [f"{link.relative_to(home)} (a link to elsewhere)" for link in links]
        if here == home:
            left_out += [f"{name} (made again)" for name in subfolders if name in CACHES]
            subfolders[:] = [name for name in subfolders if name not in CACHES]
        subfolders[:] = [name for name in subfolders if not name.startswith(UNFINISHED)]
        yield here, names


def _private_folders(home: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for here, _ in _folders(home, []):
        mode = here.stat().st_mode & 0o777
        if mode & _FOR_ALL != _FOR_ALL:
            found[here.relative_to(home).as_posix()] = mode
    return found


def _copy_database(database: Path, copy: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(read_only_uri(database), uri=True)) as live,
            closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target)
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot copy the database {database}: {error}; see `doggo doctor`"
        ) from error
