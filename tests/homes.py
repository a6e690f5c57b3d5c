"""A home for the photo stages, and folders of pictures to put into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from sqlalchemy import select
from tests.pictures import encode, picture

from doggo.core.records import Manifest
from doggo.intake.report import IntakeReport
from doggo.intake.run import intake
from doggo.preprocess.made import Made
from doggo.preprocess.run import preprocess
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.storage.database import (
    copies_table,
    open_database,
    photos_table,
    sources_table,
    transaction,
)
from doggo.storage.photos import PhotoStore
from doggo.stores import Stores
from doggo.tracking.null import NullTracker
from doggo.tracking.tolerant import TolerantTracker


def open_stores(root: Path) -> Stores:
    """An open home without a tracker."""
    return Stores(
        photos=PhotoStore(open_database(root / "photos.db")),
        raw=Bucket(root / "raw"),
        processed=Bucket(root / "processed"),
        bundles=BundleStore(Bucket(root / "bundles")),
        home=root,
        spool=root / "spool",
        workers=1,
        forced_runtime="",
        tracker=TolerantTracker(NullTracker()),
        open_bucket=lambda url: Bucket(Path(url)),
        weights=None,
    )


@dataclass(frozen=True)
class Home:
    """Database, buckets and spool under one folder."""

    root: Path
    store: PhotoStore
    raw: Bucket
    processed: Bucket

    @classmethod
    def open(cls, root: Path) -> Home:
        store = PhotoStore(open_database(root / "doggo.db"))
        return cls(root, store, Bucket(root / "raw"), Bucket(root / "processed"))

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    def take_in(self, *paths: Path | str, **options: object) -> IntakeReport:
        return intake(paths, store=self.store, raw=self.raw, spool=self.spool, workers=2, **options)

    def prepare(self, **options: object) -> Manifest:
        return self.make(**options).manifest

    def make(self, **options: object) -> Made:
        return preprocess(
            store=self.store,
            raw=self.raw,
            processed=self.processed,
            spool=self.spool,
            workers=2,
            **options,
        )

    def state(self) -> dict[str, object]:
        """All that an intake leaves: rows, raw objects, and what must not be left."""
        with transaction(self.store.engine) as connection:
            photos = connection.execute(select(photos_table)).all()
            sources = connection.execute(select(sources_table)).all()
            copies = connection.execute(select(copies_table)).all()
        return {
            "photos": sorted(photos),
            "sources": sorted(sources),
            "copies": sorted(copies),
            "raw": {key: self.raw.read(key) for key in self.raw.list()},
            "staging": [p for p in (self.spool / "staging").rglob("*") if p.is_file()],
        }


def counts(report: IntakeReport) -> dict[str, int]:
    """The six numbers of a report, zeros left out."""
    numbers = {name: value for name, value in report.to_json().items() if name != "details"}
    return {name: value for name, value in numbers.items() if value}


def jpeg(seed: int, *, quality: int = 90, size_px: tuple[int, int] = (160, 128)) -> bytes:
    """A small picture; another seed is clearly another picture."""
    return encode(picture(*size_px, seed), "JPEG", quality=quality)


def near(seed: int) -> bytes:
    """The picture of `jpeg(seed)` again, smaller and harder compressed."""
    small = picture(160, 128, seed).resize((140, 112), Image.Resampling.BICUBIC)
    return encode(small, "JPEG", quality=70)


def write_folder(root: Path, breeds: Mapping[str, Sequence[bytes]]) -> Path:
    """Write `root/BREED/NUMBER.jpg`."""
    for breed, files in breeds.items():
        (root / breed).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(files):
            (root / breed / f"{number:03}.jpg").write_bytes(data)
    return root


def drawn_folder(root: Path, *, breeds: int = 3, photos: int = 10, first: int = 0) -> Path:
    """Write a folder of distinct pictures under known breeds."""
    names = ("affenpinscher", "beagle", "pug", "whippet", "boxer")[:breeds]
    return write_folder(
        root,
        {
            name: [jpeg(first + 1000 * place + number) for number in range(photos)]
            for place, name in enumerate(names)
        },
    )
