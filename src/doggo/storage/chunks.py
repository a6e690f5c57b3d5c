"""A cache on disk of one array a photo, in chunks that are only ever added.

Owns the files, and what counts as damage. Knows nothing of what the arrays mean: everything but
the photo that they depend on is in the name of their folder.

A chunk is two files: `<name>.npy`, an array [n, ...], and `<name>.ids`, one photo id a line with
the sha256 of the first file on top. The ids are written last: a chunk without them does not
exist, so a process killed at any moment loses the chunk in the making and nothing else. Several
processes may append at once.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error
from doggo.storage.digest import file_sha256
from doggo.storage.whole import UNFINISHED

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some photos' arrays.

    Attributes:
        ids: of the photos.
        arrays: [n, ...] in their order, memory-mapped: read when they are looked at.
    """

    ids: tuple[str, ...]
    arrays: NDArray[Any]


class Chunks:
    """The chunks in one folder, which is made by the first of them.

    Args:
        what: completes "cannot keep ...", and names the warning of a damaged chunk.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self._what = folder, what

    def holding(self, photo_ids: Collection[str]) -> list[Chunk]:
        """Return the chunks with any of these photos.

        One that is damaged, in either of its files, counts as absent and is removed.
        """
        wanted = set(photo_ids)
        found = []
        for ids_file in sorted(self.folder.glob("*.ids")):
            try:
                sha256, *ids = ids_file.read_text(encoding="ascii").splitlines() or [""]
                if not wanted.isdisjoint(ids):
                    found.append(_read(ids_file.with_suffix(".npy"), sha256, ids))
            except (OSError, ValueError):
                log.warning("%s.damaged_chunk_removed chunk=%s", self._what, ids_file.name)
                _remove(ids_file, ids_file.with_suffix(".npy"))
        return found

    def append(self, photo_ids: Sequence[str], arrays: NDArray[Any]) -> Chunk:
        """Keep a chunk, atomically.

        Raises:
            StorageError: the disk refused.
        """
        name = secrets.token_hex(8)
        file, temporary = self.folder / f"{name}.npy", self.folder / f"{UNFINISHED}-{name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(file, arrays)
            chunk = Chunk(tuple(photo_ids), _mapped(file))
            lines = "\n".join((file_sha256(file), *photo_ids))
            temporary.write_text(lines, encoding="ascii")
            temporary.replace(self.folder / f"{name}.ids")
        except OSError as error:
            _remove(temporary, file)
            raise StorageError(
                f"cannot keep {self._what} in {self.folder}: {explain_os_error(error)}"
            ) from error
        return chunk


def _read(file: Path, sha256: str, ids: Sequence[str]) -> Chunk:
    """Return a chunk; if it is damaged, raise ValueError or OSError."""
    if file_sha256(file) != sha256:
        raise ValueError("the array was altered")
    arrays = _mapped(file)
    if len(arrays) != len(ids):
        raise ValueError("the ids were altered")
    return Chunk(tuple(ids), arrays)


def _mapped(file: Path) -> NDArray[Any]:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _remove(*files: Path) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)
