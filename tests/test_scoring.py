"""The photos that a model is scored on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from tests.archives import write_tar
from tests.homes import jpeg
from tests.pictures import picture
from tests.tiny_bundle import make_bundle

from doggo.core.errors import InputError, PhotoError, StorageError
from doggo.scoring import labelled_folder, score
from doggo.vision.pairs import REFERENCE
from doggo.vision.photo import canonical
from doggo.vision.predictor import Predictor


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


def test_a_folder_without_labels_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(InputError, match="put them into a folder per breed"):
        labelled_folder(tmp_path)


def test_a_json_that_the_disk_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "photos" / "pug").mkdir(parents=True)
    (tmp_path / "photos" / "pug" / "a.jpg").write_bytes(jpeg(1))
    photos, _ = labelled_folder(tmp_path / "photos")
    predictor = Predictor.load(make_bundle(tmp_path / "bundle"), pair=REFERENCE)
    (tmp_path / "report.json").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*report\.json"):
        score(predictor, photos, data="pugs", out=tmp_path / "report.html")
    assert (tmp_path / "report.html").is_file()


def test_photos_to_score_are_labelled_by_their_paths(tmp_path: Path) -> None:
    for folder in "xyz":
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / "001.jpg").write_bytes(jpeg(ord(folder)))
    labels = tmp_path / "labels.csv"
    labels.write_text("path,breed\nx/001.jpg,pug\ny/001.jpg,beagle\n")
    photos, unlabelled = labelled_folder(tmp_path / "photos", labels)
    assert [(photo.breed, photo.read()) for photo in photos] == [
        ("pug", jpeg(ord("x"))),
        ("beagle", jpeg(ord("y"))),
    ]
    assert unlabelled == 1
