"""Photos in use whose raw object is gone, among those whose file is met again.

Owns how a bucket is asked for that at little cost: here it is a look at each file, far away a
request each as long as they are few, and else one listing a run. Restores nothing (`decide.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from doggo.core.records import Photo
from doggo.storage.buckets import Bucket
from doggo.storage.photos import PhotoStore

log = logging.getLogger(__name__)

_FEW = 64
_AT_ONCE = 32


class LostPhotos:
    """What was found to be lost during one intake.

    Attributes:
        photo_ids: of those whose file was met and that were not restored yet.
    """

    def __init__(self, store: PhotoStore, raw: Bucket) -> None:
        self.photo_ids: set[str] = set()
        self._store = store
        self._raw = raw
        self._listed: set[str] | None = None

    def entries(self, hashes: Collection[str]) -> set[tuple[str, str]]:
        """Return which of these files' entries, by (source_sha256, breed), became a lost photo.

        Raises:
            StorageError: the bucket cannot be asked.
        """
        kept = self._store.ledger.kept_as(hashes)
        gone = self._gone({raw_key for _, raw_key in kept.values()})
        lost = {entry: photo_id for entry, (photo_id, key) in kept.items() if key in gone}
        for photo_id in sorted(set(lost.values()) - self.photo_ids):
            log.warning("raw_object_lost photo_id=%s", photo_id)
        self.photo_ids.update(lost.values())
        return set(lost)

    def restored(self, photos: Iterable[Photo]) -> None:
        """Learn which raw objects were written since."""
        for photo in photos:
            self.photo_ids.discard(photo.photo_id)
            if self._listed is not None:
                self._listed.add(photo.raw_key)

    def _gone(self, keys: Collection[str]) -> set[str]:
        if not self._raw.far:
            return {key for key in keys if not self._raw.exists(key)}
        if self._listed is None and len(keys) <= _FEW:
            with ThreadPoolExecutor(_AT_ONCE, "look") as threads:
                there = threads.map(self._raw.exists, keys)
                return {key for key, is_there in zip(keys, there, strict=True) if not is_there}
        if self._listed is None:
            self._listed = set(self._raw.list())
        return set(keys) - self._listed
