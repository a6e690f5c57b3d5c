"""One member of an archive: its name, and where its bytes lie.

Owns the reading of a stretch of a file. Knows no format.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

BLOCK_BYTES = 1 << 20


class Member(Protocol):
    """The bytes of a file inside an archive; small, and travels between processes."""

    @property
    def size_bytes(self) -> int:
        """Its size, as the archive says."""
        ...

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes, in blocks. Raises OSError if they cannot be read or are damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an archive.

    Attributes:
        name: as the archive spells it; it may be anything.
        member: None if it is not a file that can be read.
        what: what it is then, in words.
    """

    name: str
    member: Member | None
    what: str = ""


def span(file: IO[bytes], offset: int, size_bytes: int) -> Iterator[bytes]:
    """Yield a stretch of a file, in blocks. Raises OSError if the file ends before it."""
    file.seek(offset)
    left = size_bytes
    while left:
        block = file.read(min(left, BLOCK_BYTES))
        if not block:
            raise OSError(errno.EIO, "its archive ends too early")
        left -= len(block)
        yield block
