"""Drawn pictures are many, different, and always the same."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from doggo.apps.drawn import BREEDS, drawn_jpeg, drawn_picture, write_drawn
from doggo.vision.perceptual import hamming, phash
from doggo.vision.photo import canonical


def test_the_same_number_gives_the_same_bytes() -> None:
    assert drawn_jpeg(BREEDS[3], 7) == drawn_jpeg(BREEDS[3], 7)
    assert drawn_jpeg(BREEDS[3], 7) != drawn_jpeg(BREEDS[3], 8)
    assert drawn_jpeg(BREEDS[3], 7) != drawn_jpeg(BREEDS[4], 7)


def test_no_two_are_near_duplicates() -> None:
    hashes = [
        phash(canonical(drawn_jpeg(breed, number))) for breed in BREEDS for number in range(12)
    ]
    assert min(hamming(a, b) for a, b in combinations(hashes, 2)) > 4


def test_any_breed_name_can_be_drawn_and_any_size() -> None:
    picture = drawn_picture("german_shepherd", 0, side_px=96)
    assert picture.dtype == np.uint8
    assert picture.shape[0] == 96
    assert picture.shape[1] >= 96


def test_they_are_written_as_a_folder_per_breed(tmp_path: Path) -> None:
    files = list(write_drawn(tmp_path, breeds=2, pictures=3))
    assert {file.parent.name for file in files} == set(BREEDS[:2])
    assert len(files) == 6
    assert all(file.read_bytes().startswith(b"\xff\xd8") for file in files)
