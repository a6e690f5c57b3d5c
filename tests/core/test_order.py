"""An order that depends on ids alone, and no first part of it favours anything."""

from __future__ import annotations

from tests.train.datasets import manifest

from doggo.core.order import fair_order

ROWS = manifest(("beagle", "pug"), train=60, validation=2, test=2).rows


def test_the_order_is_that_of_ids_alone() -> None:
    drawn = fair_order(ROWS)
    assert drawn == fair_order(reversed(ROWS))
    assert sorted(row.photo_id for row in drawn) == sorted(row.photo_id for row in ROWS)


def test_a_first_part_holds_all_breeds() -> None:
    pugs = sum(row.breed == "pug" for row in fair_order(ROWS)[:64])
    assert 20 < pugs < 44
