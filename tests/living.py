"""A home that is written to, and whether what was kept of it is one that doggo can go on with."""

from __future__ import annotations

from pathlib import Path

from tests.homes import drawn_folder, open_stores
from tests.tiny_bundle import make_bundle

from doggo.apps import database_check, house
from doggo.apps.finding import Level
from doggo.intake.run import intake
from doggo.preprocess.run import preprocess
from doggo.registry.run import describe_all, promote, register, rollback
from doggo.settings import Settings
from doggo.storage import manifests
from doggo.storage.shards import PixelReader


def settings_of(root: Path) -> Settings:
    """Return the settings of a home as `open_stores` lays it out."""
    return Settings(
        home=root,
        raw_bucket=str(root / "raw"),
        processed_bucket=str(root / "processed"),
        bundle_bucket=str(root / "bundles"),
    )


class Living:
    """A home under `root`; `more()` takes photos in, makes a dataset and promotes a version."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root = root
        self._scratch = scratch
        self._stores = open_stores(root)
        self._times = 0

    def more(self) -> None:
        self._times += 1
        seed = 100 * self._times
        folder = self._scratch / f"photos{self._times}"
        drawn_folder(folder, breeds=2, photos=5, first=seed)
        stores = self._stores
        at = {"store": stores.photos, "raw": stores.raw, "spool": stores.spool, "workers": 1}
        intake([folder], **at)
        preprocess(processed=stores.processed, **at)
        bundle = make_bundle(self._scratch / f"bundle{self._times}", gain=6 + self._times)
        version = register(stores.bundles, bundle, metrics={})
        promote(stores.bundles, version, why="a test", force="a test")

    def close(self) -> None:
        self._stores.photos.engine.dispose()


def check_whole(root: Path, *, versions: int) -> None:
    """Check that nothing of a home points into the void, and that doggo goes on in it.

    Args:
        versions: which one is in production.
    """
    settings = settings_of(root)
    for check in (database_check.databases, house.photos, house.models):
        for finding in check(settings):
            assert finding.level is not Level.FAIL, finding
    stores = open_stores(root)
    pointer = stores.bundles.production()
    assert pointer is not None
    assert pointer.version == versions
    assert [move.to_version for move in stores.bundles.audit()] == list(range(1, versions + 1))
    manifest = manifests.load(stores.processed)
    assert len(manifest.rows) == 10 * versions
    known = {photo.photo_id for photo in stores.photos.used(manifest.rows[0].origin)}
    pixels = PixelReader(stores.processed)
    for row in manifest.rows:
        assert row.photo_id in known
        assert pixels.image(row).shape == (row.height_px, row.width_px, 3)
    describe_all(stores.bundles)
    assert rollback(stores.bundles, why="a test").to_version == versions - 1
    stores.photos.engine.dispose()
