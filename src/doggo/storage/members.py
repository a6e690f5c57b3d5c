"""Files inside a tar or zip archive, read where they lie: nothing is ever written under its name.

Owns which kind of archive a file is, and the inflating of a compressed tar. Knows nothing of
pictures. A member's name is text for people and labels, never a path.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from doggo.core.errors import InputError
from doggo.core.os_errors import explained
from doggo.storage.disk import need_disk
from doggo.storage.entry import BLOCK_BYTES, Entry
from doggo.storage.tars import HEADER_BYTES, is_tar_header, tar_entries
from doggo.storage.zips import zip_entries

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_GZIP = b"\x1f\x8b"
_GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)
_MOST_INFLATED = 50  # photos hardly shrink: beyond this an archive is a trap
_ALWAYS_INFLATED_BYTES = 64 << 20


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar (compressed or not) or a zip, by its first bytes.

    Raises:
        InputError: it is called an archive and is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        if head.startswith(_GZIP):
            with gzip.open(path) as inflated:
                head = inflated.read(HEADER_BYTES)
    except (OSError, *_GZIP_ERRORS):
        head = b""  # the reader will tell
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or is_tar_header(head):
        return True
    if path.name.lower().endswith(_SUFFIXES):
        raise InputError(f"{path} is called an archive but is none: get it again")
    return False


def entries(path: Path, scratch: Path | None) -> Iterator[Entry]:
    """Yield the members of an archive that are not folders, in the archive's order.

    Args:
        scratch: where a compressed tar may be inflated; None: it is refused.

    Raises:
        InputError: the archive is damaged, cut off or a trap.
        StorageError: there is no room to inflate it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if head.startswith(b"PK"):
        yield from zip_entries(path)
        return
    if not head.startswith(_GZIP):
        yield from tar_entries(path, path)
    elif scratch is None:
        raise InputError(f"{path} is compressed: unpack it and give the folder")
    else:
        yield from tar_entries(_inflate(path, scratch), path)


def _inflate(path: Path, scratch: Path) -> Path:
    """Write the tar inside a compressed file to `scratch`, as far as there is room and reason."""
    most = max(_ALWAYS_INFLATED_BYTES, _MOST_INFLATED * path.stat().st_size)
    with explained(f"inflate {path} in {scratch}"):
        scratch.mkdir(parents=True, exist_ok=True)
        plain = scratch / f"{len(list(scratch.iterdir()))}.tar"
        with gzip.open(path) as source, plain.open("wb") as target:
            while block := _inflated_block(source, path):
                if target.tell() + len(block) > most:
                    raise InputError(f"{path} inflates beyond all measure: it is refused")
                if target.tell() % (64 * BLOCK_BYTES) == 0:
                    need_disk(scratch, 64 * BLOCK_BYTES, f"inflating {path.name}")
                target.write(block)
    return plain


def _inflated_block(source: gzip.GzipFile, path: Path) -> bytes:
    try:
        return source.read(BLOCK_BYTES)
    except _GZIP_ERRORS as error:
        raise InputError(
            f"{path} is damaged or cut off: nothing was taken in; get it again"
        ) from error
