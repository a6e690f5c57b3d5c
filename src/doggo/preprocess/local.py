"""Removing local source files once the raw bucket has them safely.

Owns the checks before a deletion: the file is still the one that was taken in, its photo is in
use, and its raw object is whole.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.records import Origin, Source
from doggo.storage.buckets import Bucket
from doggo.storage.photos import PhotoStore

log = logging.getLogger(__name__)

_AT_ONCE = 16


def delete_local_copies(store: PhotoStore, raw: Bucket, origin: Origin) -> int:
    """Delete the source files that became photos; return how many.

    Left alone: what is in quarantine or a duplicate, what changed since intake, what lies in
    the bucket itself, and every file whose raw object is not what its name says.
    """
    sources = store.ledger.added_sources(origin)
    # A bucket far away is asked for every object: a round trip each, so many at once.
    with ThreadPoolExecutor(_AT_ONCE, "verify") as pool:
        deleted = sum(pool.map(lambda pair: _delete(pair[0], pair[1], raw), sources))
    log.info("local_copies_deleted count=%d", deleted)
    return deleted


def _delete(source: Source, raw_key: str, raw: Bucket) -> bool:
    path = Path(source.path)
    try:
        if not path.is_file() or path.resolve().is_relative_to(raw.root.resolve()):
            return False
        if _sha256(path.read_bytes()) != source.source_sha256:
            log.warning("local_copy_kept path=%s reason=changed_since_intake", path)
            return False
        if _sha256(raw.read_stored(raw_key)) != source.photo_id:
            log.warning("local_copy_kept path=%s reason=raw_object_altered", path)
            return False
        path.unlink()
    except (OSError, StorageError) as error:
        log.warning("local_copy_kept path=%s reason=%s", path, error)
        return False
    return True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
