"""`doggo backup` and `doggo restore`: the home folder in one file, and back.

Owns when each may happen and that both are all or nothing. The file's format is
`storage/archive.py`'s.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from doggo.core.buckets import BUCKETS
from doggo.core.errors import StorageError, UsageError
from doggo.core.os_errors import explained
from doggo.core.progress import Progress, silent
from doggo.settings import Settings
from doggo.storage.archive import Packed, pack, unpack
from doggo.storage.disk import megabytes
from doggo.storage.home import make_home, no_folder
from doggo.storage.whole import fsync


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupReport:
    """What was written, and what of the installation is not in it."""

    file: Path
    contents: Packed

    def to_json(self) -> dict[str, object]:
        return {
            "file": str(self.file),
            "files": self.contents.files,
            "size_bytes": self.contents.size_bytes,
            "left_out": list(self.contents.left_out),
        }

    def to_text(self) -> str:
        lines = [
            f"{self.file}: {self.contents.files:,} files, {megabytes(self.file.stat().st_size)}"
        ]
        lines += [f"left out: {name}" for name in self.contents.left_out]
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreReport:
    """What was put back; `moved_aside` is where an earlier home went (only with force)."""

    home: Path
    contents: Packed
    moved_aside: Path | None

    def to_json(self) -> dict[str, object]:
        return {
            "home": str(self.home),
            "files": self.contents.files,
            "size_bytes": self.contents.size_bytes,
            "moved_aside": str(self.moved_aside) if self.moved_aside else None,
        }

    def to_text(self) -> str:
        size = megabytes(self.contents.size_bytes)
        lines = [f"{self.home}: {self.contents.files:,} files, {size}, every hash checked"]
        if self.moved_aside:
            lines.append(f"what was there is now {self.moved_aside}")
        return "\n".join(lines)


def write_backup(settings: Settings, file: Path, *, progress: Progress = silent) -> BackupReport:
    """Write the home folder to `file` (.tar, .tar.gz or .tgz); it appears only when whole.

    Raises:
        UsageError: the file's name says no format, it exists, or it lies inside the home.
        StorageError: there is no home, no room, or the disk refused.
    """
    home, file = settings.home, file.absolute()
    compressed = _is_compressed(file)
    if not home.is_dir():
        if home.exists():
            raise StorageError(no_folder(home))
        raise StorageError(f"nothing to back up: {home} is not there; check DOGGO_HOME")
    if file.is_relative_to(home):
        raise UsageError(f"{file} lies inside the home folder {home}; name a place outside it")
    if file.exists():
        raise UsageError(f"{file} exists; name another file")
    with explained(f"back {home} up to {file}"), _appears_when_whole(file) as partial:
        contents = pack(home, partial, compressed=compressed, progress=progress)
    elsewhere = tuple(
        f"bucket {settings.bucket_url(name)} (not under {home}: back it up where it is)"
        for name in BUCKETS
        if not settings.bucket_url(name).startswith(home.as_uri() + "/")
    )
    contents = Packed(
        files=contents.files,
        size_bytes=contents.size_bytes,
        left_out=contents.left_out + elsewhere,
    )
    return BackupReport(file=file, contents=contents)


def restore_backup(
    settings: Settings, file: Path, *, force: bool = False, progress: Progress = silent
) -> RestoreReport:
    """Put a backup back as the home, checking every hash before anything is put in place.

    Args:
        force: a home that is not empty is moved aside (never deleted) instead of refused.

    Raises:
        UsageError: the home is not empty.
        StorageError: the file is not a whole backup of a known format, or the disk refused.
    """
    home, file = settings.home, file.absolute()
    with explained(f"restore {file} to {home}"):
        if not (made := not home.exists()) and not home.is_dir() and not force:
            raise StorageError(no_folder(home))
        occupied = not made and (not home.is_dir() or any(home.iterdir()))
        if occupied and not force:
            raise UsageError(
                f"{home} is not empty: set DOGGO_HOME to a new folder, or add --force to move "
                "what is there aside"
            )
        if os.path.ismount(home):
            raise StorageError(
                f"{home} is a mount point and cannot be replaced; set DOGGO_HOME to a folder in it"
            )
        if made:
            make_home(home)
        staging = home.parent / f".{home.name}-restore-{secrets.token_hex(4)}"
        try:
            contents = unpack(file, staging, progress)
            _as_private_as(home, staging)
            os.sync()  # once, where an fsync of each of ten thousand photos would take a minute
            aside = _move_aside(home) if occupied else None
            staging.replace(home)
            fsync(home.parent)
        except BaseException:
            if made:
                with suppress(OSError):
                    home.rmdir()
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return RestoreReport(home=home, contents=contents, moved_aside=aside)


def _as_private_as(home: Path, staging: Path) -> None:
    if home.is_dir():
        staging.chmod(staging.stat().st_mode & (home.stat().st_mode | 0o700))


def _move_aside(home: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = home.parent / f"{home.name}-before-restore-{stamp}-{secrets.token_hex(2)}"
    home.replace(aside)
    return aside


def _is_compressed(file: Path) -> bool:
    if file.name.endswith((".tar.gz", ".tgz")):
        return True
    if file.name.endswith(".tar"):
        return False
    raise UsageError(f"a backup's name ends in .tar, .tar.gz or .tgz; {file.name!r} does not")


@contextmanager
def _appears_when_whole(file: Path) -> Iterator[Path]:
    partial = file.parent / f".{file.name}.partial-{secrets.token_hex(4)}"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        fsync(partial)
        partial.replace(file)
        fsync(file.parent)
    finally:
        partial.unlink(missing_ok=True)
