"""The table beside the manifest tells what the dataset holds, and brings it into another home."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tests.homes import Home, counts, drawn_folder

from doggo.core.records import Manifest


def rows(home: Home) -> list[tuple[str, str]]:
    table = csv.DictReader(io.StringIO(home.processed.read("meta_data.csv").decode()))
    assert table.fieldnames == ["filenames", "label"]
    return [(row["filenames"], row["label"]) for row in table]


def of(manifest: Manifest, home: Home) -> list[tuple[str, str]]:
    prefix = home.raw.url + "/"
    return sorted((row.raw_uri.removeprefix(prefix), row.breed) for row in manifest.rows)


def test_it_holds_the_newest_dataset(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=5))
    whole = home.prepare()
    assert rows(home) == of(whole, home)
    assert all(home.raw.exists(key) for key, _ in rows(home))
    part = home.prepare(max_data=4)
    assert len(rows(home)) == 4
    assert rows(home) == of(part, home)


def test_it_labels_the_raw_bucket_in_another_home(tmp_path: Path) -> None:
    home, other = Home.open(tmp_path / "home"), Home.open(tmp_path / "other")
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=5))
    made = home.prepare()
    table = home.processed.path("meta_data.csv")
    assert counts(other.take_in(home.raw.url, labels=table)) == {"added": 10}
    assert other.prepare().manifest_id == made.manifest_id
