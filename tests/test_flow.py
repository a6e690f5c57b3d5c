"""The joints between the stages that no stage knows; whole ways are walked in e2e/."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.homes import drawn_folder, open_stores

from doggo import flow
from doggo.core.errors import InputError, NoModelError, UsageError


def test_a_folder_without_photos_stops_the_way_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    stores = open_stores(tmp_path / "home")
    with pytest.raises(InputError, match="photos"):
        flow.run(stores, [tmp_path / "photos"])
    assert list(stores.processed.list()) == []


def test_a_model_that_does_not_exist_is_refused_before_a_photo_is_taken_in(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "home")
    with pytest.raises(UsageError, match="no_such_model"):
        flow.run(stores, [drawn_folder(tmp_path / "photos")], model="no_such_model")
    assert not stores.photos.ledger.has_sources()


def test_without_a_model_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="doggo bootstrap"):
        flow.evaluate_version(open_stores(tmp_path))


@pytest.mark.parametrize("name", ["x.json", "x.JSON"])
def test_a_report_that_its_json_would_overwrite_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"give --out .*x\.html"):
        flow.evaluate_version(open_stores(tmp_path), out=tmp_path / name)
