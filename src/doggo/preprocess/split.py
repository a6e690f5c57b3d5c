"""Which side of the split each photo is on: pure functions of photos, groups and a seed.

Owns the fractions, the first assignment and the rule for later photos. A group of near
duplicates is never cut, and a side once given is never changed: both callers and the database
rely on it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from doggo.core.records import Photo, Split

TEST_FRACTION = 0.25
"""Of all photos; then the same fraction of the rest is validation (the first doggo's split)."""

VALIDATION_FRACTION = 0.25

DEFAULT_SEED = 42

Name = TypeVar("Name", bound=str)


NO_LISTS: Mapping[str, Split] = {}
"""photo_id → `train` or `test` as somebody's official lists say; here nobody's."""

NOTHING_OWED: Mapping[str, float] = {}


def assign_sides(
    photos: Sequence[Photo],
    sides: Mapping[str, Split],
    seed: int = DEFAULT_SEED,
    listed: Mapping[str, Split] = NO_LISTS,
) -> dict[str, Split]:
    """Return photo_id → side for the photos that have none.

    A photo takes its group's side. A new group with a photo of an official test list is for the
    test; one with a photo of an official train list is for training or validation. Groups are
    stratified by breed if no group has a side yet, those of the train list among themselves;
    else they go by a hash of (seed, group): then nothing depends on what else is there.

    Args:
        photos: all photos in use, without the `misfits` of the lists; those that have a side
            are only looked at for their group.
        sides: group_id → side of every group that has one.
    """
    without = [photo for photo in photos if photo.split is None]
    new = [photo for photo in without if photo.group_id not in sides]
    tested = _groups(new, listed, Split.TEST)
    trained = _groups(new, listed, Split.TRAIN) - tested
    chosen = dict(sides) | dict.fromkeys(tested, Split.TEST)
    if sides:
        groups = {photo.group_id for photo in new} - tested
        chosen |= {
            group_id: side_by_hash(seed, group_id, 0.0 if group_id in trained else TEST_FRACTION)
            for group_id in groups
        }
    else:
        free = [photo for photo in new if photo.group_id not in tested | trained]
        chosen |= _stratified(free, seed, TEST_FRACTION)
        chosen |= _stratified((p for p in new if p.group_id in trained), seed, 0.0)
    return {photo.photo_id: chosen[photo.group_id] for photo in without}


def misfits(
    photos: Sequence[Photo], sides: Mapping[str, Split], listed: Mapping[str, Split]
) -> list[Photo]:
    """Return the listed photos that their group keeps from being where their list wants them.

    The group's side comes first; without one, a group that is on both lists is for the test, so
    that the official test stays whole.
    """
    tested = _groups(photos, listed, Split.TEST)
    found = []
    for photo in photos:
        wanted = listed.get(photo.photo_id)
        if wanted is None:
            continue
        side = sides.get(photo.group_id, Split.TEST if photo.group_id in tested else wanted)
        if (side is Split.TEST) != (wanted is Split.TEST):
            found.append(photo)
    return found


def side_by_hash(seed: int, group_id: str, test_fraction: float = TEST_FRACTION) -> Split:
    """Return the side of a group that joins a split collection."""
    place = _place(seed, group_id)
    if place < test_fraction:
        return Split.TEST
    if place < test_fraction + (1 - test_fraction) * VALIDATION_FRACTION:
        return Split.VALIDATION
    return Split.TRAIN


def choose(photos: Sequence[Photo], sides: Mapping[str, Split], count: int, seed: int) -> set[str]:
    """Return the ids of `count` photos, in the same proportions of sides, and breeds within them.

    Sides come first: rounded within each breed, a small side would vanish from all of them at
    once. Which photos it is goes by a hash, so that a larger count keeps most of a smaller one's.

    Args:
        sides: photo_id → side.
    """
    cells = defaultdict[tuple[Split, str], list[str]](list)
    for photo in photos:
        cells[sides[photo.photo_id], photo.breed].append(photo.photo_id)
    chosen = set[str]()
    for cell, some in _quotas({cell: len(ids) for cell, ids in cells.items()}, count, seed).items():
        ordered = sorted(cells[cell], key=lambda id_: _place(seed, id_))
        chosen.update(ordered[:some])
    return chosen


def _quotas(
    sizes: Mapping[tuple[Split, str], int], count: int, seed: int
) -> dict[tuple[Split, str], int]:
    """Share `count` out to sides, then each side's share to its breeds.

    What rounding down leaves of a side goes to breeds that also train, since nobody can learn a
    breed that is only tested, and among those to the ones that came off worst so far.
    """
    by_side = {
        side: {breed: size for (other, breed), size in sizes.items() if other is side}
        for side in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    }
    shares = _shares({side: sum(of.values()) for side, of in by_side.items()}, count, seed)
    quotas = dict[tuple[Split, str], int]()
    trained, owed = set[str](), defaultdict[str, float](float)
    for side, of in by_side.items():
        given = _shares(of, shares[side], seed, first=trained, owed=owed)
        for breed, some in given.items():
            quotas[side, breed] = some
            owed[breed] += shares[side] * of[breed] / sum(of.values()) - some
        if side is Split.TRAIN:
            trained = {breed for breed, some in given.items() if some}
    return quotas


def _groups(photos: Iterable[Photo], listed: Mapping[str, Split], split: Split) -> set[str]:
    return {photo.group_id for photo in photos if listed.get(photo.photo_id) is split}


def _stratified(photos: Iterable[Photo], seed: int, test_fraction: float) -> dict[str, Split]:
    """Return group_id → side; each breed has its fractions, within one group."""
    breeds = defaultdict[str, Counter[str]](Counter)
    for photo in photos:
        breeds[photo.breed][photo.group_id] += 1
    sides: dict[str, Split] = {}
    for groups in breeds.values():
        total = groups.total()
        to_test = round(test_fraction * total)
        to_validation = round(VALIDATION_FRACTION * (total - to_test))
        for group_id in sorted(groups, key=lambda id_: (_place(seed, id_), id_)):
            size = groups[group_id]
            if size <= to_test:
                sides[group_id] = Split.TEST
                to_test -= size
            elif size <= to_validation:
                sides[group_id] = Split.VALIDATION
                to_validation -= size
            else:
                sides[group_id] = Split.TRAIN
    return sides


def _shares(
    sizes: Mapping[Name, int],
    count: int,
    seed: int,
    *,
    first: Collection[str] = (),
    owed: Mapping[str, float] = NOTHING_OWED,
) -> dict[Name, int]:
    """Share `count` out in proportion to `sizes`, by largest remainder; ties go by hash.

    Args:
        first: who comes first for what is left by rounding down.
        owed: what is added to a remainder.
    """
    total = sum(sizes.values())
    if count >= total:
        return dict(sizes)
    exact = {name: count * size / total for name, size in sizes.items()}
    shares = {name: int(share) for name, share in exact.items()}
    left = count - sum(shares.values())
    by_need = sorted(
        (name for name in sizes if shares[name] < exact[name]),
        key=lambda name: (
            name not in first,
            shares[name] - exact[name] - owed.get(name, 0.0),
            _place(seed, name),
            name,
        ),
    )
    for name in by_need[:left]:
        shares[name] += 1
    return shares


def _place(seed: int, name: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
