"""The spool: where decoding processes leave their work until it is taken over.

Owns the names in that folder and what marks a spool shard as finished (its index, written last).
All in it can be made again from the raw bucket: losing it costs time, never photos. It belongs
to the one command that holds the lock of the photo store.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from doggo.core.errors import StorageError
from doggo.core.os_errors import explain_os_error
from doggo.core.records import Origin
from doggo.storage.pixels import PixelKey, Place


@dataclass(frozen=True, slots=True)
class SpoolShard:
    """A finished shard that waits to be taken over.

    Attributes:
        places: of the photos that were accepted; the shard may hold others too.
    """

    path: Path
    key: PixelKey
    origin: Origin
    places: tuple[Place, ...]


class Spool:
    """A working folder; made when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = folder / "shards"
        self._staging = folder / "staging"

    @contextmanager
    def session(self) -> Iterator[Path]:
        """Give an empty folder for this run's files, and clear away what dead runs left.

        Raises:
            StorageError: the folder cannot be made.
        """
        # A name of its own: a process of a dead run that still writes cannot reach into it.
        mine = self._staging / secrets.token_hex(4)
        try:
            shutil.rmtree(self._staging, ignore_errors=True)
            self._shards.mkdir(parents=True, exist_ok=True)
            mine.mkdir(parents=True)
            for path in self._shards.iterdir():
                if path.suffix != ".json" and not path.with_suffix(".json").exists():
                    path.unlink()
        except OSError as error:
            raise StorageError(f"cannot use {self.folder}: {explain_os_error(error)}") from error
        try:
            yield mine
        finally:
            shutil.rmtree(mine, ignore_errors=True)

    def shard_path(self) -> Path:
        """Return a free path for a shard."""
        return self._shards / f"{secrets.token_hex(8)}.npy"

    def mark(self, path: Path, key: PixelKey, origin: Origin, places: Sequence[Place]) -> None:
        """Make a written shard count. Without places it is removed."""
        if not places:
            path.unlink(missing_ok=True)
            return
        index = {
            "key": asdict(key),
            "origin": origin.value,
            "places": [place.values for place in places],
        }
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(index))
            temporary.replace(path.with_suffix(".json"))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {explain_os_error(error)}") from error

    def finished(self) -> list[SpoolShard]:
        """Return the finished shards, by name; an index that is damaged or alone is removed."""
        found = []
        for path in sorted(self._shards.glob("*.json")):
            try:
                index = json.loads(path.read_bytes())
                shard = SpoolShard(
                    path.with_suffix(".npy"),
                    PixelKey(**index["key"]),
                    Origin(index["origin"]),
                    tuple(Place(*place) for place in index["places"]),
                )
                if not shard.path.exists():
                    raise ValueError("no shard")
            except (ValueError, TypeError, KeyError):
                path.unlink()
                path.with_suffix(".npy").unlink(missing_ok=True)
                continue
            found.append(shard)
        return found

    def drop(self, shard: SpoolShard) -> None:
        """Remove a shard that was taken over: its index first, so that a torn end is swept up."""
        shard.path.with_suffix(".json").unlink(missing_ok=True)
        shard.path.unlink(missing_ok=True)
