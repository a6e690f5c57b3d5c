"""Copying and moving objects between buckets of any kind.

Owns the order that loses nothing: an object is written to its new place, read back from there,
compared by its sha256, and only then removed from the old one. Never overwrites: an object that
is there with other bytes is a conflict, and conflicts stop a copy before it begins.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from doggo.core.errors import InputError, StorageError
from doggo.core.progress import Progress, silent
from doggo.storage.buckets import Bucket

log = logging.getLogger(__name__)

_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """What a copy did: counts of objects."""

    copied: int
    already_there: int
    removed: int

    def to_json(self) -> dict[str, int]:
        """Return the counts as plain data."""
        return {
            "copied": self.copied,
            "already_there": self.already_there,
            "removed": self.removed,
        }


def copy_objects(
    source: Bucket,
    target: Bucket,
    *,
    prefix: str = "",
    move: bool = False,
    progress: Progress = silent,
) -> Copied:
    """Copy every object under `prefix`; running it again copies what is missing.

    Args:
        move: also remove each object from `source`, once its copy was read back and compared.

    Raises:
        InputError: both are one bucket, or an object of another size is in the way.
        StorageError: a bucket refuses, or a copy is not what was written. What was copied stays;
            nothing was removed whose copy was not verified.
    """
    if source.url == target.url:
        raise InputError(f"{source.url} cannot be copied onto itself")
    sizes, there = source.sizes(prefix), target.sizes(prefix)
    conflicts = [key for key, size in sizes.items() if there.get(key, size) != size]
    if conflicts:
        raise InputError(
            f"{len(conflicts)} objects are in {target.url} with other contents, such as "
            f"{conflicts[0]}: nothing was copied; remove them there or choose another bucket"
        )
    written = removed = 0
    with ThreadPoolExecutor(_AT_ONCE, "copy") as pool:
        try:
            tasks = pool.map(lambda key: _copy(source, target, key, move=move), sizes)
            for done, new in enumerate(tasks, start=1):
                written += new
                removed += move
                progress("copy", done, len(sizes))
        finally:
            pool.shutdown(cancel_futures=True)
    log.info("objects_copied written=%d removed=%d", written, removed)
    return Copied(copied=written, already_there=len(sizes) - written, removed=removed)


def _copy(source: Bucket, target: Bucket, key: str, *, move: bool) -> bool:
    """Copy one object, verified; return whether it was not there before."""
    data = source.read_stored(key)
    new = target.create(key, data)
    if _sha256(target.read_stored(key)) != _sha256(data):
        word = "was written damaged" if new else "is there with other contents"
        raise StorageError(
            f"{target.shown(key)} {word}: {source.shown(key)} was kept; compare the two by hand"
        )
    if move:
        source.delete(key)
    return new


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
