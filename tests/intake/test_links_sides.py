"""A newcomer that shows the same picture as photos on two sides of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.homes import Home, counts, jpeg, write_folder
from tests.pictures import encode, picture

from doggo.core.records import Origin, Split
from doggo.intake.groups import MAX_HAMMING
from doggo.vision.perceptual import hamming, phash, same_picture
from doggo.vision.photo import canonical


def lit(strength: float) -> bytes:
    """One picture with more or less light in one corner."""
    image_HWC = np.asarray(picture(160, 128)).astype(float)
    y_H, x_W = np.arange(128)[:, None], np.arange(160)[None, :]
    light_HW = np.exp(-(((x_W - 110) / 40) ** 2) - ((y_H - 40) / 30) ** 2)
    lit_HWC = np.clip(image_HWC + strength * light_HW[:, :, None], 0, 255)
    return encode(Image.fromarray(lit_HWC.astype(np.uint8)), "PNG")


def apart(one: bytes, other: bytes) -> int:
    return hamming(phash(canonical(one)), phash(canonical(other)))


@pytest.fixture(scope="module")
def chain() -> tuple[bytes, bytes, bytes]:
    """Three pictures: the middle one is near both others, which are not near each other."""
    middle = lit(0)
    for strength in range(10, 100, 5):
        dark, light = lit(-strength), lit(strength)
        if apart(dark, light) > MAX_HAMMING:
            break
    assert max(apart(dark, middle), apart(middle, light)) <= MAX_HAMMING
    assert all(same_picture(canonical(middle), canonical(end)) for end in (dark, light))
    return dark, middle, light


def home_with_ends_on_two_sides(root: Path, dark: bytes, light: bytes) -> Home:
    folder = write_folder(root / "photos", {"pug": [dark, light, jpeg(1001), jpeg(1002)]})
    for seed in range(20):
        home = Home.open(root / f"home-{seed}")
        assert counts(home.take_in(folder)) == {"added": 4}  # no near duplicates yet
        home.prepare(seed=seed)
        if len({side_of(home, folder, name) for name in ("000.jpg", "001.jpg")}) == 2:
            return home
    raise AssertionError("no seed puts them on two sides")


def side_of(home: Home, folder: Path, name: str) -> Split | None:
    photos = {photo.photo_id: photo for photo in home.store.used(Origin.OWNER)}
    ids = {path: photo_id for photo_id, path in home.store.ledger.source_paths()}
    return photos[ids[str(folder / "pug" / name)]].split


def test_a_picture_near_photos_on_two_sides_is_set_aside(
    tmp_path: Path, chain: tuple[bytes, bytes, bytes]
) -> None:
    dark, middle, light = chain
    home = home_with_ends_on_two_sides(tmp_path, dark, light)
    before = home.prepare()
    newcomer = write_folder(tmp_path / "new", {"pug": [middle]})
    report = home.take_in(newcomer)
    assert counts(report) == {"quarantined": 1}
    [aside] = home.store.ledger.quarantined()
    assert (aside.path, aside.reason) == (str(newcomer / "pug" / "000.jpg"), "links_sides")
    assert home.prepare() == before
    assert counts(home.take_in(newcomer)) == {"quarantined": 1}


def test_the_same_picture_joins_both_as_long_as_they_have_no_side(
    tmp_path: Path, chain: tuple[bytes, bytes, bytes]
) -> None:
    dark, middle, light = chain
    home = Home.open(tmp_path / "home")
    home.take_in(write_folder(tmp_path / "ends", {"pug": [dark, light]}))
    report = home.take_in(write_folder(tmp_path / "new", {"pug": [middle]}))
    assert counts(report) == {"added": 1, "near_duplicates": 1}
    assert len({photo.group_id for photo in home.store.used(Origin.OWNER)}) == 1
    assert len({row.split for row in home.prepare().rows}) == 1
