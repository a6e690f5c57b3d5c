"""Everything that the stages read and write, in one hand; made by `wiring`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.photos import PhotoStore

if TYPE_CHECKING:
    from doggo.tracking.tolerant import TolerantTracker
    from doggo.vision.pairs import Pair


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
        from doggo.vision.pairs import Pair

        return Pair.parse(self.forced_runtime) if self.forced_runtime else None

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

    Folders of processes that were killed are removed by the next one after a day.
    """
    parent = stores.home / "work"
    parent.mkdir(parents=True, exist_ok=True)
    _remove_old(parent)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old(parent: Path, *, age_s: float = 86_400) -> None:
    import time

    for folder in parent.iterdir():
        if time.time() - folder.stat().st_mtime > age_s:
            shutil.rmtree(folder, ignore_errors=True)
