"""A file written from memory: whole under its name, or as it was before.

For files that one writer makes in a folder of its own; what lies in a bucket is written through
`buckets.py`. Libraries that write to a path by themselves are no substitute: on a full disk
safetensors raises an error of its own kind and torch, for some formats, ends the process.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from doggo.storage.buckets import explained


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, whose folder is made if need be, and make it durable.

    Raises:
        StorageError: the disk refuses; nothing is left but what was there before.
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    with explained(f"write {path}"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
