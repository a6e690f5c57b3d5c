"""A folder in one file: the format of a backup, written and read.

Owns the format: a tar with `home/<path>` for each file and, as its last member, `backup.json` with
the sha256 of each; a file without that end is not a whole backup. A header at its start says how
large its files are together. Knows nothing of what the files mean, but for three things: a SQLite
database is copied as a snapshot while others write to it; caches are left out because they are made
again; and what points (databases, the production pointer) is copied before what it points to, since
doggo writes in the opposite order, so nothing in a backup points into the void.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from doggo import __version__
from doggo.core.errors import StorageError
from doggo.core.progress import Progress
from doggo.storage.disk import need_disk
from doggo.storage.home import read_only_uri

FORMAT = 1
MANIFEST = "backup.json"
CACHES = frozenset({"cache", "work"})
"""Folders directly under the home that are made again, or held scratch files."""

_SIZE = "DOGGO.size_bytes"
"""Header at the start of the tar: the sum of its files; older backups have none."""

_POINTERS = frozenset({"production", "latest"})
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """What an archive holds: `size_bytes` is the sum of its files before compression."""

    files: int
    size_bytes: int
    left_out: tuple[str, ...] = ()


def pack(home: Path, file: Path, *, compressed: bool, progress: Progress) -> Packed:
    """Write everything under `home` to `file`, which the caller puts in its final place.

    Raises:
        StorageError: there is no room, or a database cannot be copied.
        OSError: the disk refused.
    """
    paths, left_out = _files_to_keep(home)
    total = sum(size for _, size in paths)
    need_disk(file.parent, total, f"a backup of {home}")
    hashes: dict[str, str] = {}
    written = 0
    mode: Literal["w:gz", "w:"] = "w:gz" if compressed else "w:"
    with tarfile.open(file, mode, pax_headers={_SIZE: str(total)}) as tar:
        for done, (path, _) in enumerate(paths):
            progress("backup", done, len(paths))
            written += _add_file(tar, home, path, hashes, scratch=file.parent)
        _add_manifest(tar, hashes)
    progress("backup", len(paths), len(paths))
    return Packed(files=len(hashes), size_bytes=written, left_out=left_out)


def unpack(file: Path, staging: Path, progress: Progress) -> Packed:
    """Unpack into the new folder `staging` and check every hash.

    Args:
        progress: told bytes of the archive: how many files are in it stands at its end.

    Raises:
        StorageError: there is no room, or the file is not a whole, unaltered backup of a known
            format.
        OSError: the disk refused.
    """
    found: dict[str, str] = {}
    expected: Mapping[str, str] | None = None
    size_bytes, archive_bytes = 0, file.stat().st_size
    staging.mkdir()
    try:
        with file.open("rb") as archive, tarfile.open(fileobj=archive, mode="r:*") as tar:
            need_disk(staging, int(tar.pax_headers.get(_SIZE, 0)), f"what {file} holds")
            for member in tar:
                if expected is not None:
                    raise StorageError(f"{file} goes on after its end; it is not a doggo backup")
                if member.name == MANIFEST:
                    expected = _read_manifest(file, tar.extractfile(member))
                    continue
                target = staging / _safe_name(file, member, found)
                need_disk(staging, member.size, f"restoring {member.name}")
                found[member.name.removeprefix("home/")] = _write_member(tar, member, target)
                size_bytes += member.size
                progress("restore", min(archive.tell(), archive_bytes - 1), archive_bytes)
    except tarfile.ReadError as error:
        # Where no format fits tarfile has a line for each of them.
        said = str(error) if "\n" not in str(error) else "it is no tar archive"
        raise StorageError(f"{file} is not a readable backup: {said}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, KeyError) as error:
        raise StorageError(f"{file} is not a readable backup: {error}") from error
    if expected is None:
        raise StorageError(f"{file} has no end: it was cut off or is not a doggo backup")
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0][0]
        raise StorageError(f"{file} was damaged or altered: {wrong} is not as it was backed up")
    progress("restore", archive_bytes, archive_bytes)
    return Packed(files=len(found), size_bytes=size_bytes)


def is_sqlite(path: Path) -> bool:
    """Return whether a file is a SQLite database, judged by its first bytes."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"


def _files_to_keep(home: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Return (path, size) in the order to copy, and what is left out with its reason."""
    ranked: list[tuple[int, Path, int]] = []
    left_out: list[str] = []
    databases: set[Path] = set()
    for folder, subfolders, names in os.walk(home):
        here = Path(folder)
        links = [here / name for name in subfolders if (here / name).is_symlink()]
        left_out += [f"{link.relative_to(home)} (a link to elsewhere)" for link in links]
        if here == home:
            left_out += [f"{name} (made again)" for name in subfolders if name in CACHES]
            subfolders[:] = [name for name in subfolders if name not in CACHES]
        for name in names:
            path = here / name
            if name.startswith(".tmp-") or name.endswith(".lock"):
                continue  # an unfinished write; a lock that means nothing elsewhere
            if path.is_symlink() or not path.is_file():
                left_out.append(f"{path.relative_to(home)} (not a plain file)")
                continue
            is_database = is_sqlite(path)
            if is_database:
                databases.add(path)
            rank = 0 if is_database else 1 if name in _POINTERS else 2
            ranked.append((rank, path, path.stat().st_size))
    side_files = {
        Path(f"{path}{end}") for path in databases for end in ("-wal", "-shm", "-journal")
    }
    ranked.sort()
    return [(path, size) for _, path, size in ranked if path not in side_files], tuple(left_out)


def _add_file(
    tar: tarfile.TarFile, home: Path, path: Path, hashes: dict[str, str], *, scratch: Path
) -> int:
    name = path.relative_to(home).as_posix()
    try:
        source = _snapshot(path, scratch) if is_sqlite(path) else path.open("rb")
    except FileNotFoundError:
        return 0  # removed since it was listed, as a finished upload's part may be
    with source:
        member = tarfile.TarInfo(f"home/{name}")
        member.size = os.fstat(source.fileno()).st_size
        member.mtime = int(path.stat().st_mtime)
        member.mode = 0o600
        hashing = _Hashing(source)
        tar.addfile(member, hashing)
        hashes[name] = hashing.digest.hexdigest()
        return member.size


def _snapshot(database: Path, scratch: Path) -> IO[bytes]:
    """Return an open copy of a live SQLite database as of one moment, removed when closed."""
    copy = tempfile.NamedTemporaryFile(dir=scratch, prefix=".doggo-backup-")  # noqa: SIM115 - returned open
    try:
        with (
            closing(sqlite3.connect(read_only_uri(database), uri=True)) as live,
            closing(sqlite3.connect(copy.name)) as target,
        ):
            live.backup(target)
    except sqlite3.Error as error:
        copy.close()
        raise StorageError(
            f"cannot copy the database {database}: {error}; see `doggo doctor`"
        ) from error
    return copy


def _add_manifest(tar: tarfile.TarFile, hashes: Mapping[str, str]) -> None:
    text = json.dumps(
        {
            "format": FORMAT,
            "doggo": __version__,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": hashes,
        },
        indent=1,
    ).encode()
    member = tarfile.TarInfo(MANIFEST)
    member.size = len(text)
    tar.addfile(member, io.BytesIO(text))


class _Hashing:
    """A file being read whose sha256 is known at its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        return data


def _read_manifest(file: Path, member: IO[bytes] | None) -> dict[str, str]:
    manifest = json.loads(member.read() if member else b"")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        version = manifest.get("format") if isinstance(manifest, dict) else None
        raise StorageError(
            f"{file} has backup format {version!r}; this doggo reads {FORMAT}: upgrade doggo"
        )
    return {str(name): str(sha256) for name, sha256 in manifest["files"].items()}


def _safe_name(file: Path, member: tarfile.TarInfo, seen: Mapping[str, str]) -> PurePosixPath:
    name = member.name.removeprefix("home/")
    path = PurePosixPath(name)
    harmless = (
        member.name.startswith("home/")
        and member.isreg()
        and not path.is_absolute()
        and path.parts
        and ".." not in path.parts
        and "\x00" not in name
        and name not in seen
    )
    if not harmless:
        raise StorageError(
            f"{file} holds {member.name!r}, which no doggo backup has; nothing was restored"
        )
    return path


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    source = tar.extractfile(member)
    assert source is not None  # _safe_name lets regular files pass only
    hashing = _Hashing(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        while chunk := hashing.read(_CHUNK_BYTES):
            out.write(chunk)
    return hashing.digest.hexdigest()
