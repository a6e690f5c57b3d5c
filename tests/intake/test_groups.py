"""How groups of photos that show the same picture change, and what is noted of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.storage.stored import photo, sha, source

from doggo.core.records import Outcome, Photo, Split
from doggo.intake.groups import Groups, in_conflict
from doggo.intake.rulings import Decision


def in_group(name: int, group: int, **changes: object) -> Photo:
    return photo(name, group_id=sha(group), **changes)


@pytest.fixture
def decision() -> Decision:
    return Decision()


def test_photos_within_four_bits_are_alike_the_nearest_first(decision: Decision) -> None:
    far, near, same = photo(1, "f" * 16), photo(2, "0" * 15 + "f"), photo(3, "0" * 16)
    groups = Groups([far, near, same], decision)
    assert groups.alike("0" * 16) == [(0, same), (4, near)]


def test_a_merged_group_keeps_the_id_that_has_a_side(decision: Decision) -> None:
    stored = [in_group(1, 1), in_group(2, 2, split=Split.TEST)]
    groups = Groups(stored, decision)
    assert groups.merge({sha(1), sha(2)}) == sha(2)
    assert decision.merged == {sha(1): sha(2)}
    assert {member.photo_id for member in groups.members([sha(2)])} == {sha(1), sha(2)}


def test_a_new_photo_moves_and_is_set_aside_with_its_group(decision: Decision) -> None:
    groups = Groups([in_group(1, 1, split=Split.TRAIN)], decision)
    groups.add(in_group(2, 2))
    groups.merge({sha(1), sha(2)})
    groups.set_aside([sha(1)])
    assert decision.photos[sha(2)].group_id == sha(1)
    assert in_conflict(decision.photos[sha(2)])
    assert decision.set_aside == {sha(1), sha(2)}


def test_a_mended_group_takes_the_breed_and_is_in_use_but_for_what_was_out_of_it(
    decision: Decision,
) -> None:
    stored = [in_group(name, 1, quarantine="conflict") for name in (1, 2)]
    broken = replace(source(stored[1]), outcome=Outcome.QUARANTINED, reason="broken")
    groups = Groups(stored, decision)
    groups.mend(sha(1), "beagle", [broken])
    assert {(one.breed, one.quarantine) for one in decision.mended.values()} == {
        ("beagle", None),
        ("beagle", "broken"),
    }
    assert groups[sha(1)].quarantine is None


def test_a_mended_group_parts_where_a_newcomer_had_linked_two_sides(decision: Decision) -> None:
    stored = [
        in_group(1, 1, split=Split.TRAIN, quarantine="conflict"),
        in_group(2, 1, split=Split.TEST, quarantine="conflict"),
        in_group(3, 1, quarantine="conflict"),
    ]
    groups = Groups(stored, decision)
    groups.mend(sha(1), "pug", [])
    assert groups[sha(1)].group_id == sha(1)
    assert groups[sha(2)].group_id == sha(2)
    assert groups[sha(3)].quarantine == "links_sides"
    assert groups.sides([sha(1)]) == {Split.TRAIN}
