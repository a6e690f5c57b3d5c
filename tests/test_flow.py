"""The joints between the stages that no stage knows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from tests.archives import write_tar
from tests.homes import jpeg
from tests.pictures import picture

from doggo.core.errors import PhotoError
from doggo.core.records import Manifest
from doggo.flow import labelled_folder
from doggo.preprocess.diff import diff
from doggo.results import Prepared, Released, RunResult
from doggo.vision.photo import canonical


def test_photos_to_score_may_lie_in_an_archive(tmp_path: Path) -> None:
    array_HWC, buffer = np.asarray(picture(90, 70)), io.BytesIO()
    np.save(buffer, array_HWC)
    files = [("pug/a.jpg", jpeg(1)), ("beagle/b.npy", buffer.getvalue()), ("stray.jpg", jpeg(2))]
    (a, b), unlabelled = labelled_folder(write_tar(tmp_path / "photos.tar", files))
    assert unlabelled == 1
    assert (a.breed, a.read()) == ("pug", jpeg(1))
    assert a.found_at == f"{tmp_path}/photos.tar/pug/a.jpg"
    assert b.breed == "beagle"
    assert np.array_equal(canonical(b.read()), array_HWC)


def test_a_photo_to_score_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pug").mkdir()
    (tmp_path / "pug" / "large.jpg").write_bytes(bytes(20 * 2**20 + 1))
    [photo], _ = labelled_folder(tmp_path)
    with pytest.raises(PhotoError, match="too large"):
        photo.read()


def dataset(manifest_id: str) -> Manifest:
    return Manifest(
        manifest_id=manifest_id, short_side_px=256, decoder="d", step="none", seed=42, rows=()
    )


def finished(old: str, new: str, **options: object) -> RunResult:
    released = Released(
        version=1,
        name="doggo",
        promoted=True,
        decision=(),
        scored=None,
        timings=(),
        already=old == new,
    )
    return RunResult(
        intake={},
        intake_text="intake",
        prepared=Prepared(manifest=dataset(new), change=diff(dataset(old), dataset(new))),
        released=released,
        timings=(),
        **options,
    )


def test_a_run_tells_how_the_dataset_changed() -> None:
    done = finished("a" * 16, "b" * 16)
    assert "  the same photos\nversion 1 (doggo)" in done.to_text()


def test_a_run_that_changed_nothing_says_so_in_one_line() -> None:
    done = finished("a" * 16, "a" * 16, is_repeat=True)
    assert done.to_text() == ("intake; version 1 (doggo) was made from them and is in production")
    news = finished("a" * 16, "a" * 16)  # such as a newly quarantined file
    assert ": the same photos as before\nversion 1 (doggo)" in news.to_text()
