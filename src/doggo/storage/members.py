"""Files inside a tar or zip archive, read where they lie: nothing is ever written under its name.

Owns the walk over an archive's headers, and what an archive may not be: cut off, or lying about
its sizes. Knows nothing of pictures. A member's name is text for people and labels, never a path.

Sources: POSIX.1-2024 `pax` (ustar and extended headers); the GNU tar manual, "Basic Tar Format";
PKWARE's APPNOTE 6.3.10.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO, NamedTuple

from doggo.core.errors import InputError
from doggo.storage.buckets import explained
from doggo.storage.disk import need_disk

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_TAR_BLOCK = 512
_MAX_EXTENDED_BYTES = 64 * 1024  # of a header that holds a name: those of real tars have hundreds
_BLOCK_BYTES = 1 << 20
Opener = Callable[[Path], BufferedIOBase]
_COMPRESSED: dict[bytes, Opener] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_MOST_INFLATED = 50  # photos hardly shrink: beyond this an archive is a trap
_ALWAYS_INFLATED_BYTES = 1 << 30
_DECODE_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class TarMember(NamedTuple):
    """Bytes inside an uncompressed tar."""

    archive: str
    offset: int
    size_bytes: int

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes, in blocks. Raises OSError if they cannot be read."""
        with Path(self.archive).open("rb") as file:
            yield from _span(file, self.offset, self.size_bytes)


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
        raw = _span(file, self.offset + 30 + name_bytes + extra_bytes, self.held_bytes)
        if not self.deflated:
            yield from raw
            return
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for block in raw:
                held = block
                while held and not inflate.eof:
                    yield inflate.decompress(held, _BLOCK_BYTES)
                    held = inflate.unconsumed_tail
            while tail := inflate.decompress(b"", _BLOCK_BYTES):
                yield tail
        except zlib.error as error:
            raise OSError(errno.EIO, "damaged inside its archive") from error


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an archive.

    Attributes:
        name: as the archive spells it; it may be anything.
        member: None if it is not a file that can be read.
        what: what it is then, in words.
    """

    name: str
    member: TarMember | ZipMember | None
    what: str = ""


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar (compressed or not) or a zip, by its first bytes.

    Raises:
        InputError: it is called an archive and is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_BLOCK)
        if (opened := _decompressor(head)) is not None:
            with opened(path) as inflated:
                head = inflated.read(_TAR_BLOCK)
    except (OSError, *_DECODE_ERRORS):
        head = b""  # the reader will tell
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or _is_tar_header(head):
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
        head = file.read(_TAR_BLOCK)
    if head.startswith(b"PK"):
        yield from _zip_entries(path)
        return
    opened = _decompressor(head)
    if opened is None:
        yield from _tar_entries(path, path)
    elif scratch is None:
        raise InputError(f"{path} is compressed: unpack it and give the folder")
    else:
        yield from _tar_entries(_inflate(path, opened, scratch), path)


def _tar_entries(plain: Path, shown: Path) -> Iterator[Entry]:
    """Walk the headers of a tar; a huge or endless one costs no memory."""
    size_bytes, files = plain.stat().st_size, 0
    with plain.open("rb") as file:
        named: dict[str, str] = {}
        while (block := file.read(_TAR_BLOCK)) != bytes(_TAR_BLOCK):
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
                held = int(named.get("size", header.size))
            except (tarfile.HeaderError, ValueError) as error:
                raise _cut_off(shown, files) from error
            start = file.tell()
            if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES or _extends(header):
                if held < 0 or start + held > size_bytes:
                    raise _cut_off(shown, files)
                file.seek(start + -(-held // _TAR_BLOCK) * _TAR_BLOCK)
            if _extends(header):
                named |= _read_extended(header.type, _extended(file, start, held, shown, files))
                file.seek(start + -(-held // _TAR_BLOCK) * _TAR_BLOCK)
                continue
            name = named.get("path", header.name)
            sparse = header.type == tarfile.GNUTYPE_SPARSE or "sparse" in named
            named = {}
            if header.isreg() and not sparse:
                files += 1
                yield Entry(name, TarMember(str(plain), start, held))
            elif not header.isdir():
                yield Entry(name, None, "a sparse file" if sparse else _kind(header))


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _extends(header: tarfile.TarInfo) -> bool:
    """Return whether a header only describes the next one."""
    return header.type in (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )


def _extended(file: IO[bytes], start: int, held: int, shown: Path, files: int) -> bytes:
    if held > _MAX_EXTENDED_BYTES:
        raise InputError(
            f"{shown} has a header of {held:,} bytes after {files:,} files: no tool writes that; "
            "unpack it with one that you trust and give the folder"
        )
    file.seek(start)
    return file.read(held)


def _read_extended(kind: bytes, data: bytes) -> dict[str, str]:
    """Return what a header says of the next member: its `path`, `size`, whether it is `sparse`."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    said: dict[str, str] = {}
    if kind not in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        return said
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        if not len(digits) < length <= len(data):
            break
        key, _, value = data[len(digits) + 1 : length].rstrip(b"\n").partition(b"=")
        if key in (b"path", b"size"):
            said[key.decode()] = value.decode("utf-8", "surrogateescape")
        elif key.startswith(b"GNU.sparse"):
            said["sparse"] = ""
        data = data[length:]
    return said


def _kind(header: tarfile.TarInfo) -> str:
    if header.issym() or header.islnk():
        return "a link"
    if header.isdev():
        return "a device"
    return f"of an unknown kind ({header.type!r})"


def _zip_entries(path: Path) -> Iterator[Entry]:
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


def _decompressor(head: bytes) -> Opener | None:
    return next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), None)


def _inflate(path: Path, opened: Opener, scratch: Path) -> Path:
    """Write the tar inside a compressed file to `scratch`, as far as there is room and reason."""
    most = max(_ALWAYS_INFLATED_BYTES, _MOST_INFLATED * path.stat().st_size)
    with explained(f"inflate {path} in {scratch}"):
        scratch.mkdir(parents=True, exist_ok=True)
        plain = scratch / f"{len(list(scratch.iterdir()))}.tar"
        with opened(path) as source, plain.open("wb") as target:
            while block := _inflated_block(source, path):
                if target.tell() + len(block) > most:
                    raise InputError(f"{path} inflates beyond all measure: it is refused")
                if target.tell() % (64 * _BLOCK_BYTES) == 0:
                    need_disk(scratch, 64 * _BLOCK_BYTES, f"inflating {path.name}")
                target.write(block)
    return plain


def _inflated_block(source: BufferedIOBase, path: Path) -> bytes:
    try:
        return source.read(_BLOCK_BYTES)
    except _DECODE_ERRORS as error:
        raise InputError(
            f"{path} is damaged or cut off: nothing was taken in; get it again"
        ) from error


def _cut_off(path: Path, files: int) -> InputError:
    return InputError(
        f"{path} is damaged or cut off after {files:,} files: nothing was taken in; get it again"
    )


def _span(file: IO[bytes], offset: int, size_bytes: int) -> Iterator[bytes]:
    file.seek(offset)
    left = size_bytes
    while left:
        block = file.read(min(left, _BLOCK_BYTES))
        if not block:
            raise OSError(errno.EIO, "its archive ends too early")
        left -= len(block)
        yield block
