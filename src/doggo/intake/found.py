"""What a scan finds, and how its bytes are read wherever they lie.

Owns the records of a scan. Knows nothing of what files hold.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from doggo.core.errors import StorageError
from doggo.core.os_errors import explained
from doggo.storage.buckets import Bucket
from doggo.vision.photo import MAX_BYTES

ARRAY_MAGIC = b"\x93NUMPY"
MAX_ARRAY_BYTES = 128 * 2**20
"""Of an .npy file, which holds a photo's pixels without compression."""


class Stored(Protocol):
    """A file that is not a local one: in an archive or in a bucket. Travels between processes."""

    @property
    def size_bytes(self) -> int:
        """Its size as far as that is known before reading, else 0."""
        ...

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes. Raises OSError or StorageError if they cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object of a bucket."""

    bucket: Bucket
    key: str
    size_bytes: int

    @property
    def is_near(self) -> bool:
        """Whether the object is a local file."""
        return self.bucket.url.startswith("file://")

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes.

        Raises:
            OSError: this one object is gone or forbidden: a matter of one photo.
            StorageError: the bucket fails: a matter of the whole run.
        """
        try:
            yield self.bucket.read(self.key)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError | PermissionError):
                raise error.__cause__  # noqa: B904 - one photo, not the bucket
            raise

    def fetch(self, target: Path) -> str | Stored:
        """Return what another process reads it from: its own file, or a copy at `target`.

        Raises:
            StorageError: the bucket or the disk fails.
        """
        if self.is_near:
            return str(self.bucket.path(self.key))
        if self.size_bytes > MAX_ARRAY_BYTES:
            return self  # nobody will read it
        try:
            data = b"".join(self.blocks())
        except OSError:
            return str(target)  # which is not there: the reader will tell
        with explained(f"write {target}"):
            target.write_bytes(data)
        return str(target)


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look into.

    Attributes:
        path: as the operating system spells it; of a stored one, for a person to find it.
        breed: key of its breed, or None if nothing names one.
        problem: why there is no breed, in words; None if there is one.
        stored: where its bytes are, if not in a local file at `path`.
        named_by: the labels file that gives its breed by its name alone, whatever its folder.
    """

    path: str
    breed: str | None
    problem: str | None = None
    stored: Stored | None = None
    named_by: str | None = None

    @property
    def place(self) -> str | Stored:
        """What its bytes are read from."""
        return self.stored or self.path

    def size_bytes(self) -> int:
        """Return its size, 0 if it is not known. Raises OSError."""
        if self.stored is not None:
            return self.stored.size_bytes
        return os.stat(self.path).st_size  # noqa: PTH116 - half the time


@dataclass(frozen=True, slots=True)
class Ignored:
    """A thing that intake leaves alone, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Scan:
    """All that lies under the given paths, in a fixed order.

    Attributes:
        roots: the given paths, absolute, and URLs: what lies under them and is not in `files` is
            not there, or was ignored.
    """

    roots: list[str] = field(default_factory=list)
    files: list[Found] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)


def load(place: str | Stored) -> tuple[str, bytes | None]:
    """Return the sha256 and the bytes of a found file; no bytes if it is over the limit.

    The sha256 of a stored file that is over the limit is empty: it is not read to its end.

    Raises:
        OSError: it cannot be read.
        StorageError: its bucket cannot be read.
    """
    if isinstance(place, str):
        with open(place, "rb", buffering=0) as file:  # noqa: PTH123 - see intake.worker
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > MAX_BYTES and size_bytes > _limit(file.read(len(ARRAY_MAGIC))):
                return hash_file(place), None
            file.seek(0)
            data = file.readall()
    elif place.size_bytes > MAX_ARRAY_BYTES:
        return "", None
    else:
        parts, read_bytes = list[bytes](), 0
        for block in place.blocks():
            parts.append(block)
            read_bytes += len(block)
            if read_bytes > _limit(parts[0]):
                return "", None
        data = b"".join(parts)
    return hashlib.sha256(data).hexdigest(), data


def hash_file(place: str | Stored) -> str:
    """Return the sha256 of a found file, or an empty string if it cannot be read."""
    try:
        if not isinstance(place, str):
            return load(place)[0]
        with Path(place).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _limit(head: bytes) -> int:
    return MAX_ARRAY_BYTES if head.startswith(ARRAY_MAGIC) else MAX_BYTES
