"""A bucket: named bytes under a URL, here in a local folder.

Owns atomicity: an object is either wholly there or not there. Knows nothing of photos or
bundles. `cloud.py` has the same over an object store; one contract suite runs over both.
"""

from __future__ import annotations

import atexit
import hashlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlparse

from filelock import FileLock

from doggo.core.errors import StorageError, UsageError
from doggo.core.os_errors import explained
from doggo.core.progress import Progress, silent
from doggo.storage.whole import (
    UNFINISHED,
    create_file,
    create_folder,
    fsync,
    fsync_disk,
    link_file,
    move_file,
    replace_file,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

_PLAIN = re.compile(r"[a-z0-9_./-]+")  # nothing to quote: nearly every key


def open_bucket(
    url: str, *, cache: Path | None = None, google_key: SecretStr | None = None
) -> Bucket:
    """Return the bucket at a `file://`, `gs://` or `s3://` URL, making the folder of a local one.

    Args:
        cache: where local copies of buckets far away are kept, each in a folder of its own;
            None: in a temporary one that goes with this process.
        google_key: a service account's JSON key in base64, for `gs://`.

    Raises:
        UsageError: the URL's scheme is not one that this installation can open, or a `file://`
            URL names a host.
        StorageError: the folder cannot be made or is not writable.
    """
    from doggo.storage.sign_in import is_remote

    if not is_remote(url):
        return Bucket(local_folder(url))
    from doggo.storage.cloud import CloudBucket
    from doggo.storage.remote import Remote

    if cache is None:
        cache = Path(tempfile.mkdtemp(prefix="doggo-cache-"))
        atexit.register(shutil.rmtree, cache, ignore_errors=True)
    return CloudBucket(Remote(url, google_key), cache / _folder_name(url))


def local_folder(url: str) -> Path:
    """Return the folder that a `file://` URL names; it may not exist.

    Raises:
        UsageError: it is the URL of no folder, or of another host's folder.
    """
    parsed = urlparse(url)
    if parsed.scheme != "file":
        raise UsageError(f"cannot open bucket {url!r}: its URL must be file://, gs:// or s3://")
    if parsed.netloc not in ("", "localhost"):
        raise UsageError(
            f"{url!r} names the host {parsed.netloc!r}: write the whole path of a folder of this "
            "machine after three slashes, such as file:///srv/raw"
        )
    if not parsed.path:
        raise UsageError(f"no such bucket: {url!r} names no folder")
    return Path(unquote(parsed.path))


def _folder_name(url: str) -> str:
    """Return a name for a URL's cache that a person recognises and no two URLs share."""
    words = re.sub(r"[^a-z0-9]+", "-", url.lower()).strip("-")[:60]
    return f"{words}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


class Bucket:
    """Named bytes in a local folder. Keys are relative POSIX paths.

    Attributes:
        root: local folder of the objects, or of what is kept of them here.
        far: whether each look costs a request over a network.
    """

    far = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.absolute().as_uri()
        self._root = str(root)
        with explained(f"open bucket {root}"):
            root.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return a local path of an object that never changes; it may not exist.

        For memory mapping and for other processes. In an object store this fetches it.
        """
        return Path(self._path(key))

    def fetch(
        self, keys: Collection[str], progress: Progress = silent, stage: str = "download"
    ) -> None:
        """Have objects that never change at hand for `path`, many at once; here they are.

        One that is not there is left out, and its path is one that is not there.
        """

    def shown(self, key: str) -> str:
        """Return where an object is, for a person."""
        return self._path(key)

    def uri(self, key: str) -> str:
        return f"{self.url}/{key if _PLAIN.fullmatch(key) else quote(key)}"

    def _path(self, key: str) -> str:
        # Strings and not pathlib: a bucket is asked for every photo, and this is a tenth.
        if key.startswith("/") or ".." in key.split("/"):
            raise StorageError(f"bad object key {key!r}: keys are relative and have no '..'")
        return f"{self._root}/{key}"

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def read(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: it is not there or cannot be read.
        """
        with explained(f"read {key} in {self.root}"):
            return self.path(key).read_bytes()

    def find(self, key: str) -> bytes | None:
        """Return an object's bytes as they are stored, or None if there is none."""
        return self.read(key) if self.exists(key) else None

    def read_stored(self, key: str) -> bytes:
        """Return an object's bytes as they are stored, never those of a local copy.

        Raises:
            StorageError: it is not there or cannot be read.
        """
        return self.read(key)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Create or replace an object atomically.

        Args:
            durable: also survive a power cut (fsync of file and folder); without it an
                object survives the death of the process, not of the machine.
        """
        target = self.path(key)
        with explained(f"write {key} in {self.root}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data, durable=durable)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; durable. Returns whether it was written."""
        target = self.path(key)
        with explained(f"create {key} in {self.root}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            return create_file(target, data)

    def adopt(self, key: str, file: Path | str) -> None:
        """Move a finished local file into the bucket (a rename where the disk is the same)."""
        with explained(f"write {key} in {self.root}"):
            move_file(self._path(key), file)

    def adopt_copies(self, files: Mapping[str, Path]) -> None:
        """Put finished local files (by key) into the bucket and leave them where they are.

        Durable once it returns. Hard links where the disk is the same. A key that is taken is
        left alone: this is for keys that name their content.
        """
        folders = {self.path(key).parent for key in files}
        for folder in folders:
            with explained(f"write to {folder}"):
                folder.mkdir(parents=True, exist_ok=True)
        for key, file in files.items():
            with explained(f"write {key} in {self.root}"):
                fsync(file)
                link_file(self.path(key), file)
        for folder in folders:
            with explained(f"write to {folder}"):
                fsync(folder)

    def sync(self) -> None:
        """Make all that was written so far survive a power cut, at the price of one flush."""
        with explained(f"flush {self.root}"):
            fsync_disk(self.root)

    def swap(self, key: str, data: bytes, expected: bytes | None) -> bool:
        """Replace an object only if it still is what was `expected` (None: not there); durable.

        Of two writers who expect the same, one wins. Returns whether it was written.
        """
        with explained(f"write {key} in {self.root}"), FileLock(self.root / ".swap.lock"):
            found = self.path(key).read_bytes() if self.exists(key) else None
            if found != expected:
                return False
            self.write(key, data)
        return True

    def publish(self, key: str, files: Mapping[str, Path | bytes], *, last: str) -> bool:
        """Write files (by name) under `key`: all of them appear, or nothing; durable.

        Args:
            last: the file whose presence says that the folder is whole.

        Returns:
            Whether it was written; False: the key is taken.
        """
        assert last in files
        target = self.path(key)
        with explained(f"write {key} in {self.root}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            return create_folder(target, files)

    def sweep(self, prefix: str) -> None:
        """Remove what killed writers left under `prefix`; for who keeps other writers out."""
        with explained(f"clear up {prefix} in {self.root}"):
            for path in self.path(prefix).glob(f"{UNFINISHED}*"):
                shutil.rmtree(path)

    def published(self, prefix: str, *, last: str) -> Sequence[str]:
        """Return the keys of the folders under `prefix` (which ends with a slash), sorted."""
        return self.claimed(prefix)

    def claimed(self, prefix: str) -> Sequence[str]:
        """Return the keys under `prefix` that `publish` would find taken, sorted."""
        parent = self.path(prefix)
        with explained(f"list {parent}"):
            if not parent.is_dir():
                return []
            names = [path.name for path in parent.iterdir() if not path.name.startswith(UNFINISHED)]
        return [prefix + name for name in sorted(names)]

    def folder(self, key: str, names: Collection[str]) -> Path:
        """Return the local path of a published folder in which at least `names` are at hand."""
        return self.path(key)

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        with explained(f"delete {key} in {self.root}"):
            self.path(key).unlink(missing_ok=True)

    def trim(self, limit_bytes: int) -> None:
        """Bound what is kept locally of an object store; nothing to do here."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of every object whose key starts with `prefix`, sorted by key.

        Unfinished writes are not listed.
        """
        folder = self.path(prefix.rpartition("/")[0])
        with explained(f"list {self.root}"):
            found = {
                path.relative_to(self.root).as_posix(): path.stat().st_size
                for path in folder.rglob("*")
                if path.is_file() and not is_ours(path.relative_to(self.root))
            }
        return {key: found[key] for key in sorted(found) if key.startswith(prefix)}

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that start with `prefix`, sorted; unfinished writes are not listed."""
        return iter(self.sizes(prefix))


def is_ours(relative: Path) -> bool:
    """Whether a file is none of the bucket's objects: a write under way, or a lock."""
    return relative.as_posix() in (".swap.lock", ".lock") or any(
        part.startswith(UNFINISHED) for part in relative.parts
    )
