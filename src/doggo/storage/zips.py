"""The members of a zip, found in its directory.

Owns what is left out of a zip, and that a member holds what the directory says.

Source: PKWARE's APPNOTE 6.3.10.
"""

from __future__ import annotations

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from doggo.core.errors import InputError
from doggo.storage.entry import BLOCK_BYTES, Entry, span


class ZipMember(NamedTuple):
    """Bytes inside a zip; `offset` is that of its local header.

    Attributes:
        held_bytes, size_bytes: compressed and not, as the archive says.
    """

    archive: str
    offset: int
    held_bytes: int
    size_bytes: int
    crc32: int
    deflated: bool

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes, in blocks. Raises OSError if they cannot be read or are damaged."""
        crc32, size_bytes = 0, 0
        with Path(self.archive).open("rb") as file:
            for block in self._inflated(file):
                crc32, size_bytes = zlib.crc32(block, crc32), size_bytes + len(block)
                yield block
        if (crc32, size_bytes) != (self.crc32, self.size_bytes):
            raise OSError(errno.EIO, "damaged inside its archive")

    def _inflated(self, file: IO[bytes]) -> Iterator[bytes]:
        file.seek(self.offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise OSError(errno.EIO, "not where its archive says it is")
        name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
        raw = span(file, self.offset + 30 + name_bytes + extra_bytes, self.held_bytes)
        if not self.deflated:
            yield from raw
            return
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for block in raw:
                held = block
                while held and not inflate.eof:
                    yield inflate.decompress(held, BLOCK_BYTES)
                    held = inflate.unconsumed_tail
            while tail := inflate.decompress(b"", BLOCK_BYTES):
                yield tail
        except zlib.error as error:
            raise OSError(errno.EIO, "damaged inside its archive") from error


def zip_entries(path: Path) -> Iterator[Entry]:
    """Yield the members of a zip that are not folders, in the order of its directory.

    Raises:
        InputError: its directory is damaged or missing.
        OSError: it cannot be read.
    """
    size_bytes = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        LookupError,
        ValueError,
        struct.error,
    ) as error:
        raise InputError(
            f"{path} is damaged or cut off ({error}): nothing was taken in; get it again"
        ) from error
    for info in listed:
        mode = info.external_attr >> 16
        if info.filename.endswith("/"):
            continue
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield Entry(info.filename, None, "a link" if stat.S_ISLNK(mode) else "a device")
        elif info.flag_bits & 1:
            yield Entry(info.filename, None, "encrypted")
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield Entry(info.filename, None, "compressed in an uncommon way")
        elif info.header_offset + info.compress_size > size_bytes:
            yield Entry(info.filename, None, "said to lie beyond the end of its archive")
        else:
            yield Entry(
                info.filename,
                ZipMember(
                    archive=str(path),
                    offset=info.header_offset,
                    held_bytes=info.compress_size,
                    size_bytes=info.file_size,
                    crc32=info.CRC,
                    deflated=info.compress_type == zipfile.ZIP_DEFLATED,
                ),
            )
