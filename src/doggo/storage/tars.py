"""The members of an uncompressed tar, found by walking its headers.

Owns what a tar may not be: cut off, or lying about its sizes. Needs no memory for a huge one.

Sources: POSIX.1-2024 `pax` (ustar and extended headers); the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from doggo.core.errors import InputError
from doggo.storage.entry import Entry, span

HEADER_BYTES = 512

_MAX_EXTENDED_BYTES = 64 * 1024  # of a header that holds a name: those of real tars have hundreds


class TarMember(NamedTuple):
    """Bytes inside an uncompressed tar."""

    archive: str
    offset: int
    size_bytes: int

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes, in blocks. Raises OSError if they cannot be read."""
        with Path(self.archive).open("rb") as file:
            yield from span(file, self.offset, self.size_bytes)


def is_tar_header(block: bytes) -> bool:
    """Return whether a block is the header of a tar's member: its checksum tells."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def tar_entries(plain: Path, shown: Path) -> Iterator[Entry]:
    """Yield the members of a tar that are not folders, in its order.

    Args:
        plain: the tar. shown: what to call it in a message.

    Raises:
        InputError: it is damaged or cut off.
        OSError: it cannot be read.
    """
    size_bytes, files = plain.stat().st_size, 0
    with plain.open("rb") as file:
        said: dict[str, str] = {}
        while (block := file.read(HEADER_BYTES)) != bytes(HEADER_BYTES):
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
                held = header.size if _extends(header) else int(said.get("size", header.size))
            except (tarfile.HeaderError, ValueError) as error:
                raise _cut_off(shown, files) from error
            start = file.tell()
            held = held if _has_data(header) else 0
            if held < 0 or start + held > size_bytes:
                raise _cut_off(shown, files)
            if _extends(header):
                said |= _read_extended(header.type, _extended(file, held, shown, files))
            else:
                entry = _entry(header, said, TarMember(str(plain), start, held))
                said = {}
                files += entry is not None and entry.member is not None
                if entry is not None:
                    yield entry
            file.seek(start + -(-held // HEADER_BYTES) * HEADER_BYTES)


def _entry(header: tarfile.TarInfo, said: Mapping[str, str], member: TarMember) -> Entry | None:
    name = said.get("path", header.name)
    if header.isdir():
        return None
    if header.type == tarfile.GNUTYPE_SPARSE or "sparse" in said:
        return Entry(name, None, "a sparse file")
    return Entry(name, member) if header.isreg() else Entry(name, None, _kind(header))


def _has_data(header: tarfile.TarInfo) -> bool:
    return header.isreg() or header.type not in tarfile.SUPPORTED_TYPES or _extends(header)


def _extends(header: tarfile.TarInfo) -> bool:
    """Return whether a header only describes the next one."""
    return header.type in (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )


def _extended(file: IO[bytes], held: int, shown: Path, files: int) -> bytes:
    if held > _MAX_EXTENDED_BYTES:
        raise InputError(
            f"{shown} has a header of {held:,} bytes after {files:,} files: no tool writes that; "
            "unpack it with one that you trust and give the folder"
        )
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


def _cut_off(path: Path, files: int) -> InputError:
    return InputError(
        f"{path} is damaged or cut off after {files:,} files: nothing was taken in; get it again"
    )
