"""Secrets that an installation makes for itself: one file each, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error

BYTES = 32


def secret_at(path: Path) -> str:
    """Return the secret in a file, 64 hex digits; the first call makes it.

    Two processes that make it at once agree on one.

    Raises:
        StorageError: it cannot be read or made, or is not what was written.
    """
    try:
        if not path.exists():
            _make(path)
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = explain_os_error(error) if isinstance(error, OSError) else "it is damaged"
        raise StorageError(f"cannot use the secret in {path}: {said}") from error
    if len(found) != 2 * BYTES or set(found) - set("0123456789abcdef"):
        raise StorageError(
            f"the secret in {path} is damaged: restore it from a backup; without it what was "
            "stored about people cannot be found again"
        )
    return found


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # fails if another process was first
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
