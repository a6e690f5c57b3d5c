"""A folder in one file: the format of a backup, written and read.

Owns the format: a tar with `home/<path>` and the mode of each file and, as its last member,
`backup.json` with the sha256 of each and the modes of private folders; a file without that end is
not a whole backup. A header at its start says how large its files are together. A backup holds
secrets: it is its owner's alone, and what was private is private again once restored. Knows nothing
of what the files mean, nor which there are (`snapshot.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from doggo import __version__
from doggo.core.errors import StorageError
from doggo.core.progress import Progress
from doggo.storage.disk import need_disk
from doggo.storage.snapshot import Kept, take

FORMAT = 1
MANIFEST = "backup.json"
_SIZE = "DOGGO.size_bytes"
"""Header at the start of the tar: the sum of its files; older backups have none."""

_OLDER_PRIVATE = {"secrets": 0o700}
"""Private folders of a backup that does not name them."""

_WIDEST_MODE = 0o644
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """What an archive holds: `size_bytes` is the sum of its files before compression."""

    files: int
    size_bytes: int
    left_out: tuple[str, ...] = ()


def pack(home: Path, file: Path, *, compressed: bool, progress: Progress) -> Packed:
    """Write everything under `home` to the new `file`, which the caller puts in its final place.

    Raises:
        StorageError: there is no room, or a database cannot be copied.
        OSError: the disk refused.
    """
    hashes: dict[str, str] = {}
    written = 0
    mode: Literal["w:gz", "w:"] = "w:gz" if compressed else "w:"
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".doggo-backup-") as scratch:
        snapshot = take(home, Path(scratch))
        total = sum(kept.size_bytes for kept in snapshot.files)
        need_disk(file.parent, total, f"a backup of {home}")
        file.touch(mode=0o600, exist_ok=False)
        with tarfile.open(file, mode, pax_headers={_SIZE: str(total)}) as tar:
            for done, kept in enumerate(snapshot.files):
                progress("backup", done, len(snapshot.files))
                written += _add_file(tar, kept, hashes)
            _add_manifest(tar, hashes, snapshot.private_folders)
    progress("backup", len(snapshot.files), len(snapshot.files))
    return Packed(files=len(hashes), size_bytes=written, left_out=snapshot.left_out)


def unpack(file: Path, staging: Path, progress: Progress) -> Packed:
    """Unpack into the new folder `staging` and check every hash.

    A file's mode is what it was, but never wider than 0644; a folder that was private is again.

    Args:
        progress: told bytes of the archive: how many files are in it stands at its end.

    Raises:
        StorageError: there is no room, or the file is not a whole, unaltered backup of a known
            format.
        OSError: the disk refused.
    """
    found: dict[str, str] = {}
    expected: _Manifest | None = None
    size_bytes, archive_bytes = 0, file.stat().st_size
    staging.mkdir()
    usual_mode = staging.stat().st_mode
    staging.chmod(0o700)  # until it is known how private it is
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
    except (tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{file} is not a readable backup: {error}") from error
    if expected is None:
        raise StorageError(f"{file} has no end: it was cut off or is not a doggo backup")
    if found != expected.files:
        wrong = sorted(set(found.items()) ^ set(expected.files.items()))[0][0]
        raise StorageError(f"{file} was damaged or altered: {wrong} is not as it was backed up")
    staging.chmod(usual_mode)
    _close_folders(staging, expected.private_folders)
    progress("restore", archive_bytes, archive_bytes)
    return Packed(files=len(found), size_bytes=size_bytes)


def _add_file(tar: tarfile.TarFile, kept: Kept, hashes: dict[str, str]) -> int:
    try:
        source = kept.source.open("rb")
    except FileNotFoundError:
        return 0  # removed since it was listed, as a finished upload's part may be
    with source:
        found = os.fstat(source.fileno())
        member = tarfile.TarInfo(f"home/{kept.name}")
        member.size = found.st_size
        member.mtime = int(found.st_mtime)
        member.mode = found.st_mode & 0o777
        hashing = _Hashing(source)
        tar.addfile(member, hashing)
        hashes[kept.name] = hashing.digest.hexdigest()
        return member.size


def _add_manifest(
    tar: tarfile.TarFile, hashes: Mapping[str, str], private_folders: Mapping[str, int]
) -> None:
    text = json.dumps(
        {
            "format": FORMAT,
            "doggo": __version__,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": hashes,
            "private_folders": private_folders,
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


@dataclass(frozen=True, slots=True)
class _Manifest:
    files: Mapping[str, str]
    private_folders: Mapping[str, int]


def _read_manifest(file: Path, member: IO[bytes] | None) -> _Manifest:
    manifest = json.loads(member.read() if member else b"")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        version = manifest.get("format") if isinstance(manifest, dict) else None
        raise StorageError(
            f"{file} has backup format {version!r}; this doggo reads {FORMAT}: upgrade doggo"
        )
    private = manifest.get("private_folders", _OLDER_PRIVATE)
    return _Manifest(
        files={str(name): str(sha256) for name, sha256 in dict(manifest["files"]).items()},
        private_folders={str(name): int(mode) for name, mode in dict(private).items()},
    )


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
    mode = (member.mode | 0o600) & _WIDEST_MODE
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        while chunk := hashing.read(_CHUNK_BYTES):
            out.write(chunk)
    return hashing.digest.hexdigest()


def _close_folders(staging: Path, modes: Mapping[str, int]) -> None:
    for folder, _, _ in os.walk(staging):
        here = Path(folder)
        mode = modes.get(here.relative_to(staging).as_posix())
        if mode is not None:
            here.chmod(here.stat().st_mode & (mode | 0o700))
