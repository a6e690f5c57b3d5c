"""A bucket in an object store, with a local cache of what was read or written.

Owns the cache: an object that somebody asked for by path, or that came from a local file, is
kept under the cache folder. Only objects that never change (named by their content, or published
whole) are asked for by path; what changes (`production`, `manifests/latest`) goes by `read` and
`write` and is never cached. Knows nothing of the store's protocol (`remote.py`).

    adopt ─▶ pending in the cache folder ─▶ sync: uploaded together ─▶ cache

A process killed before `sync` returns leaves objects that nobody refers to, which the same
command writes again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.os_errors import explained
from doggo.core.progress import Progress, silent
from doggo.storage.buckets import Bucket, is_ours
from doggo.storage.remote import Remote
from doggo.storage.whole import UNFINISHED, link_file, move_file

_CLAIM = f"{UNFINISHED}-claim"
_PENDING = f"{UNFINISHED}-pending"
_PART = f"{UNFINISHED}-part"
_IN_USE_S = 3600.0
"""What was used within the hour is never evicted: a command may still hold its path."""


class CloudBucket(Bucket):
    """Named bytes in an object store. Passes the same contract as a local folder.

    Args:
        cache: folder for local copies; its loss costs time and nothing else.
    """

    far = True

    def __init__(self, remote: Remote, cache: Path) -> None:
        super().__init__(cache)
        self.url = remote.url
        self._remote = remote
        self._pending_folder = cache / f"{_PENDING}-{secrets.token_hex(4)}"
        self._pending: dict[str, Path] = {}

    def shown(self, key: str) -> str:
        return f"{self.url}/{key}"

    def exists(self, key: str) -> bool:
        self._path(key)
        return self._remote.size(key) is not None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        return {
            key: size
            for key, size in self._remote.sizes(prefix).items()
            if not key.rpartition("/")[2].startswith(UNFINISHED)
        }

    def list(self, prefix: str = "") -> Iterator[str]:
        return iter(self.sizes(prefix))

    def path(self, key: str) -> Path:
        """Return the cached copy of an object that never changes, fetched if need be.

        Raises:
            StorageError: the store refuses. An object that is not there gives a path that is
                not there, as in a local bucket.
        """
        local = self._local(key)
        if not _touched(local) and self._remote.size(key) is not None:
            self.fetch([key])
        return local

    def fetch(
        self, keys: Collection[str], progress: Progress = silent, stage: str = "download"
    ) -> None:
        missing = [key for key in keys if not _touched(self._local(key))]
        if not missing:
            return
        parts = {key: self._part(key) for key in missing}
        try:
            self._remote.download(parts, progress, stage)
            for key, part in parts.items():
                if part.exists():
                    with explained(f"keep {key} in {self.root}"):
                        part.replace(self._local(key))
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)

    def read(self, key: str) -> bytes:
        local = self._local(key)
        if _touched(local):
            with explained(f"read {local}"):
                return local.read_bytes()
        return self._remote.read(key)

    def find(self, key: str) -> bytes | None:
        self._path(key)
        return self._remote.find(key)

    def read_stored(self, key: str) -> bytes:
        self._path(key)
        return self._remote.read(key)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        self._forget(key)
        self._remote.write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._path(key)
        return self._remote.create(key, data)

    def swap(self, key: str, data: bytes, expected: bytes | None) -> bool:
        self._forget(key)
        return self._remote.swap(key, data, expected)

    def adopt(self, key: str, file: Path | str) -> None:
        """Take a finished local file; it is in the store once `sync` returns."""
        self._path(key)
        pending = self._pending_folder / key
        with explained(f"take {file} into {self.url}"):
            move_file(str(pending), file)
        self._pending[key] = pending

    def sync(self) -> None:
        """Upload what was adopted, many at once; on an error all of it stays pending."""
        pending, self._pending = self._pending, {}
        try:
            self._remote.upload(pending)
        except BaseException:
            self._pending = {**pending, **self._pending}
            raise
        for key, file in pending.items():
            with explained(f"keep {key} in {self.root}"):
                local = self._local(key)
                local.parent.mkdir(parents=True, exist_ok=True)
                file.replace(local)
        shutil.rmtree(self._pending_folder, ignore_errors=True)

    def adopt_copies(self, files: Mapping[str, Path]) -> None:
        cached = {key: self._local(key) for key in files}
        self._remote.upload(files, only_new=True)
        # The store has them: the cache need not survive a power cut, so nothing is flushed.
        for key, local in cached.items():
            with explained(f"keep {key} in {self.root}"):
                local.parent.mkdir(parents=True, exist_ok=True)
                link_file(local, files[key])

    def delete(self, key: str) -> None:
        self._forget(key)
        self._remote.delete([key])

    def publish(self, key: str, files: Mapping[str, Path | bytes], *, last: str) -> bool:
        """Claim the key, upload the files, and write `last`, which makes them count.

        A claim that a killed process left keeps its key: the caller takes the next one.
        """
        self._path(key)
        if not self._remote.create(f"{key}/{_CLAIM}", secrets.token_hex(8).encode()):
            return False
        self._remote.upload(
            {
                f"{key}/{name}": source
                for name, source in files.items()
                if isinstance(source, Path) and name != last
            }
        )
        for name, source in files.items():
            if isinstance(source, bytes) and name != last:
                self._remote.write(f"{key}/{name}", source)
        end = files[last]
        with explained(f"read {last}"):
            data = end if isinstance(end, bytes) else end.read_bytes()
        return self._remote.create(f"{key}/{last}", data)

    def sweep(self, prefix: str) -> None:
        """Leave claims alone: whether another machine still writes cannot be known here."""

    def published(self, prefix: str, *, last: str) -> Sequence[str]:
        ends = f"/{last}"
        keys = (key for key in self._remote.sizes(prefix) if key.endswith(ends))
        return [key.removesuffix(ends) for key in keys if key.count("/") == prefix.count("/") + 1]

    def claimed(self, prefix: str) -> Sequence[str]:
        names = (key.removeprefix(prefix).split("/") for key in self._remote.sizes(prefix))
        return sorted({prefix + parts[0] for parts in names if len(parts) > 1})

    def folder(self, key: str, names: Collection[str]) -> Path:
        self.fetch([f"{key}/{name}" for name in names])
        return self._local(key)

    def trim(self, limit_bytes: int) -> None:
        """Evict what was not used for longest until the cache fits; never what is in use."""
        known = sorted(self._cached())
        over = sum(size for _, size, _ in known) - limit_bytes
        for used_at, size, path in known:
            if over <= 0 or time.time() - used_at < _IN_USE_S:
                return
            path.unlink(missing_ok=True)
            over -= size

    def _cached(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each whole copy was last used, its size and its place."""
        # No rglob: it raises where another process removes a folder meanwhile.
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                if is_ours(path.relative_to(self.root)):
                    continue
                with suppress(FileNotFoundError):  # another process may evict it meanwhile
                    found = path.stat()
                    yield found.st_mtime, found.st_size, path

    def _local(self, key: str) -> Path:
        return Path(self._path(key))

    def _part(self, key: str) -> Path:
        local = self._local(key)
        with explained(f"keep {key} in {self.root}"):
            local.parent.mkdir(parents=True, exist_ok=True)
        return local.parent / f"{_PART}-{secrets.token_hex(8)}"

    def _forget(self, key: str) -> None:
        self._local(key).unlink(missing_ok=True)


def _touched(local: Path) -> bool:
    """Whether an object is in the cache; if so it counts as used now."""
    try:
        os.utime(local)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"cannot use the cache at {local}: {error.strerror}") from error
    return True
