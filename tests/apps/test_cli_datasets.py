"""`doggo data diff`, and what `preprocess` says of its dataset and of the one before."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.commands import run_doggo
from tests.homes import drawn_folder
from tests.pictures import encode

from doggo.apps.drawn import drawn_jpeg, write_drawn


def test_what_changed_between_datasets_is_told_with_reasons(tmp_path: Path) -> None:
    home, folder, more = tmp_path / "home", tmp_path / "photos", tmp_path / "more" / "drawn_rings"
    list(write_drawn(folder, breeds=2, pictures=4))
    run_doggo(home, "intake", folder)
    first = run_doggo(home, "preprocess", "--json").json()
    assert first["change"] is None
    more.mkdir(parents=True)
    (more / "new.jpg").write_bytes(drawn_jpeg("drawn_rings", 50))
    (more / "twin.jpg").write_bytes(drawn_jpeg("drawn_stripes", 1))  # filed under two breeds
    run_doggo(home, "intake", more.parent)
    second = run_doggo(home, "preprocess", "--json").json()
    told = {change["breed"]: change for change in second["change"]["breeds"]}
    assert told["drawn_rings"]["added"] == 1
    stripes = told["drawn_stripes"]
    assert (stripes["removed"], stripes["set_aside"]) == (0, {"conflict": 1})
    sides = second["change"]["splits"].values()
    assert sum(side["after"] - side["before"] for side in sides) == 0

    assert run_doggo(home, "preprocess").out.endswith(": the same photos as before\n")
    old_id, new_id = first["manifest_id"], second["manifest_id"]
    assert run_doggo(home, "data", "diff", old_id, "--json").json() == second["change"]
    back = run_doggo(home, "data", "diff", new_id, old_id)
    assert back.out.startswith(f"dataset {new_id} → {old_id}: 8 → 8 photos\n")
    assert "  drawn_rings: 5 → 4 (1 removed)\n" in back.out
    assert "  drawn_stripes: 3 → 4 (1 added)\n" in back.out
    unknown = run_doggo(home, "data", "diff", "0123456789abcdef")
    assert unknown.code == 1
    assert old_id in unknown.line()


def test_photos_that_one_short_side_is_too_much_for_are_told(tmp_path: Path) -> None:
    home, photos = tmp_path / "home", drawn_folder(tmp_path / "photos", breeds=1, photos=3)
    wide = encode(Image.new("RGB", (7_000, 2_800), "white"), "JPEG")
    (photos / "affenpinscher" / "wide.jpg").write_bytes(wide)
    assert run_doggo(home, "intake", photos).code == 0
    told = run_doggo(home, "preprocess", "--short-side", 1024)
    assert told.code == 0
    assert "  left out this time: 1; they stay in use\n" in told.out
    assert ".jpg: decoding this JPEG of 7,000 x 2,800 px takes about" in told.out
    [left_out] = run_doggo(home, "preprocess", "--short-side", 1024, "--json").json()["left_out"]
    assert left_out["reason"] == "too_many_pixels"
    assert run_doggo(home, "preprocess", "--json").json()["left_out"] == []


@pytest.mark.parametrize("option", [(), ("--new",)])
def test_preprocess_of_nothing_names_the_command_that_brings_photos(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    done = run_doggo(tmp_path / "home", "preprocess", *option)
    assert done.code == 1
    words = "".join(f" {word}" for word in option)
    assert f"run `doggo intake{words} FOLDER` first" in done.line()
    assert f"`doggo quarantine{words}` lists" in done.line()
