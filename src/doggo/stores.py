"""Everything that the stages read and write, in one hand; made by `wiring`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.photos import PhotoStore

if TYPE_CHECKING:
    from doggo.tracking.tolerant import TolerantTracker
    from doggo.vision.pairs import Pair

_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Stores:
    """An open home.

    Attributes:
        spool: canonical pixels on their way from intake to preprocess.
        workers: decoding processes; 0: one a core.
        forced_runtime: pair that the owner insists on, such as `onnxruntime-f32`; empty: the
            fastest allowed.
        open_bucket: opens another bucket by its URL, with this installation's credentials.
        weights: folder of ImageNet weights that the owner downloaded, if there is one.
        new: these are the buckets and the database for new photos.
    """

    photos: PhotoStore
    raw: Bucket
    processed: Bucket
    bundles: BundleStore
    home: Path
    spool: Path
    workers: int
    forced_runtime: str
    tracker: TolerantTracker
    open_bucket: Callable[[str], Bucket]
    weights: Path | None
    new: bool = False

    @property
    def forced_pair(self) -> Pair | None:
        """The forced runtime, parsed.

        Raises:
            UsageError: there is no such pair.
        """
        from doggo.storage.registered import forced_pair

        return forced_pair(self.forced_runtime)

    @property
    def model_cache(self) -> Path:
        """What training keeps and can compute again: embeddings, graphs, checkpoints and more."""
        return self.home / "cache" / "embeddings"

    @property
    def reports(self) -> Path:
        """Evaluation reports, one HTML file each."""
        return self.home / "reports"


@contextmanager
def work_folder(stores: Stores) -> Iterator[Path]:
    """Give a private folder on the home's disk, gone afterwards.

    A folder is locked as long as its process lives; the next process removes those that are not.
    """
    parent = stores.home / "work"
    parent.mkdir(parents=True, exist_ok=True)
    # Nobody looks between the making of a folder and its lock.
    with FileLock(stores.home / ".work.lock"):
        _remove_left(parent)
        folder = Path(tempfile.mkdtemp(dir=parent))
        lock = FileLock(folder / _LOCK)
        lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove_left(parent: Path) -> None:
    for folder in parent.iterdir():
        if folder.is_dir():
            with suppress(Timeout, FileNotFoundError), FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
