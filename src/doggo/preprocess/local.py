"""Removing local source files once the raw bucket has them safely.

Owns the checks before a deletion: the file is still the one that was taken in, its photo is in
use, and its raw object is whole.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.records import Origin
from doggo.storage.buckets import Bucket
from doggo.storage.photos import PhotoStore

log = logging.getLogger(__name__)


def delete_local_copies(store: PhotoStore, raw: Bucket, origin: Origin) -> int:
    """Delete the source files that became photos; return how many.

    Left alone: what is in quarantine or a duplicate, what changed since intake, what lies in
    the bucket itself, and every file whose raw object is not what its name says.
    """
    deleted = 0
    for source, raw_key in store.added_sources(origin):
        path = Path(source.path)
        try:
            if not path.is_file() or path.resolve().is_relative_to(raw.root.resolve()):
                continue
            if _sha256(path.read_bytes()) != source.source_sha256:
                log.warning("local_copy_kept path=%s reason=changed_since_intake", path)
                continue
            if _sha256(raw.read(raw_key)) != source.photo_id:
                log.warning("local_copy_kept path=%s reason=raw_object_altered", path)
                continue
            path.unlink()
        except (OSError, StorageError) as error:
            log.warning("local_copy_kept path=%s reason=%s", path, error)
            continue
        deleted += 1
    log.info("local_copies_deleted count=%d", deleted)
    return deleted


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
