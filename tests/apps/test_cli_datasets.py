"""`doggo data diff`, and what `preprocess` says of the dataset before."""

from __future__ import annotations

from pathlib import Path

from tests.commands import run_doggo

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
