"""The split: whole groups, fixed fractions, and sides that never change."""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.core.records import ManifestRow, Photo, Split
from doggo.preprocess.split import assign_sides, choose, misfits, side_by_hash
from doggo.train.sample import check_trainable


def photo(breed: str, number: int, group: str | None = None, side: Split | None = None) -> Photo:
    photo_id = hashlib.sha256(f"{breed} {number}".encode()).hexdigest()
    return Photo(
        photo_id=photo_id,
        source_sha256=photo_id,
        breed=breed,
        raw_key=f"{breed}/{photo_id}.jpg",
        width_px=300,
        height_px=200,
        phash="0" * 16,
        group_id=f"{breed} {group}" if group else photo_id,
        split=side,
    )


def breed_of(name: str, sizes: list[int]) -> list[Photo]:
    """A breed whose groups have these sizes."""
    return [
        photo(name, 100 * group + member, group=str(group))
        for group, size in enumerate(sizes)
        for member in range(size)
    ]


COLLECTIONS = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=25), min_size=1, max_size=4)


@given(COLLECTIONS, st.integers(0, 99))
def test_a_group_is_never_cut(sizes: list[list[int]], seed: int) -> None:
    photos = [p for place, some in enumerate(sizes) for p in breed_of(f"b{place}", some)]
    sides = assign_sides(photos, {}, seed)
    assert sides.keys() == {p.photo_id for p in photos}
    by_group: dict[str, set[Split]] = {}
    for p in photos:
        by_group.setdefault(p.group_id, set()).add(sides[p.photo_id])
    assert all(len(one) == 1 for one in by_group.values())


@given(COLLECTIONS, st.integers(0, 99))
def test_each_breed_has_its_fractions_within_one_group(sizes: list[list[int]], seed: int) -> None:
    photos = [p for place, some in enumerate(sizes) for p in breed_of(f"b{place}", some)]
    sides = assign_sides(photos, {}, seed)
    for place, some in enumerate(sizes):
        total, largest = sum(some), max(some)
        counts = Counter(sides[p.photo_id] for p in photos if p.breed == f"b{place}")
        to_test = round(0.25 * total)
        assert to_test - largest < counts[Split.TEST] <= to_test
        to_validation = round(0.25 * (total - to_test))
        assert to_validation - largest < counts[Split.VALIDATION] <= to_validation


def test_sixty_photos_are_split_as_by_the_seed() -> None:
    sides = assign_sides(breed_of("pug", [1] * 60), {})
    assert Counter(sides.values()) == {Split.TRAIN: 34, Split.VALIDATION: 11, Split.TEST: 15}


def test_the_only_photo_of_a_breed_is_for_training() -> None:
    assert list(assign_sides(breed_of("pug", [1]), {}).values()) == [Split.TRAIN]


@given(COLLECTIONS, st.randoms(use_true_random=False))
def test_the_order_of_photos_does_not_matter(sizes: list[list[int]], random: object) -> None:
    photos = [p for place, some in enumerate(sizes) for p in breed_of(f"b{place}", some)]
    shuffled = list(photos)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assign_sides(shuffled, {}) == assign_sides(photos, {})


@given(st.integers(0, 10**6), st.integers(0, 20))
def test_a_later_photo_does_not_depend_on_what_else_is_there(number: int, others: int) -> None:
    newcomer = photo("pug", number)
    existing = [photo("boxer", n, side=Split.TRAIN) for n in range(1 + others)]
    sides = {p.group_id: Split.TRAIN for p in existing}
    alone = assign_sides([newcomer, existing[0]], {existing[0].group_id: Split.TRAIN}, 7)
    assert assign_sides([newcomer, *existing], sides, 7) == alone
    assert alone == {newcomer.photo_id: side_by_hash(7, newcomer.group_id)}


@pytest.mark.parametrize("side", list(Split))
def test_a_photo_that_joins_a_group_takes_its_side(side: Split) -> None:
    first, second = photo("pug", 1, group="g", side=side), photo("pug", 2, group="g")
    assert assign_sides([first, second], {first.group_id: side}) == {second.photo_id: side}


def test_later_photos_come_in_the_same_fractions() -> None:
    counts = Counter(side_by_hash(42, str(number)) for number in range(20_000))
    assert abs(counts[Split.TEST] / 20_000 - 0.25) < 0.01
    assert abs(counts[Split.VALIDATION] / 20_000 - 0.1875) < 0.01


def test_another_seed_splits_otherwise() -> None:
    photos = breed_of("pug", [1] * 60)
    assert assign_sides(photos, {}, 1) != assign_sides(photos, {}, 2)


@given(COLLECTIONS, st.integers(1, 60))
def test_max_data_keeps_the_proportions_of_sides_and_of_breeds_within_them(
    sizes: list[list[int]], count: int
) -> None:
    photos = [p for place, some in enumerate(sizes) for p in breed_of(f"b{place}", some)]
    sides = assign_sides(photos, {})
    chosen = choose(photos, sides, count, 42)
    assert len(chosen) == min(count, len(photos))
    of_side = Counter(sides[p.photo_id] for p in photos)
    got_of_side = Counter(sides[photo_id] for photo_id in chosen)
    for side, size in of_side.items():
        exact = min(count, len(photos)) * size / len(photos)
        assert exact - 1 < got_of_side[side] < exact + 1
    cells = Counter((sides[p.photo_id], p.breed) for p in photos)
    got = Counter((sides[p.photo_id], p.breed) for p in photos if p.photo_id in chosen)
    for (side, breed), size in cells.items():
        exact = got_of_side[side] * size / of_side[side]
        assert exact - 1 < got[side, breed] < exact + 1
    assert choose(list(reversed(photos)), sides, count, 42) == chosen


@pytest.mark.parametrize(
    ("count", "breeds", "train", "validation", "test"),
    [(60, 34, 34, 11, 15), (120, 68, 68, 22, 30), (240, 120, 136, 44, 60), (360, 120, 204, 66, 90)],
)
def test_few_photos_of_many_breeds_still_make_a_model(
    count: int, breeds: int, train: int, validation: int, test: int
) -> None:
    photos = [p for place in range(120) for p in breed_of(f"b{place}", [1] * 60)]
    sides = assign_sides(photos, {})
    chosen = choose(photos, sides, count, 42)
    rows = [as_row(p, sides[p.photo_id]) for p in photos if p.photo_id in chosen]
    assert Counter(row.split for row in rows) == {
        Split.TRAIN: train,
        Split.VALIDATION: validation,
        Split.TEST: test,
    }
    assert len(check_trainable(rows)) == breeds
    if count >= 240:  # no breed makes up for another
        assert set(Counter(row.breed for row in rows).values()) == {count // 120}


def as_row(photo: Photo, side: Split) -> ManifestRow:
    return ManifestRow(
        photo_id=photo.photo_id,
        raw_uri=photo.raw_key,
        breed=photo.breed,
        split=side,
        sha256=photo.photo_id,
        group_id=photo.group_id,
        shard="",
        offset=0,
        height_px=1,
        width_px=1,
        origin=photo.origin,
        may_be_shown=True,
    )


@given(COLLECTIONS, st.integers(0, 99), st.randoms(use_true_random=False))
def test_official_lists_are_obeyed_by_all_but_their_misfits(
    sizes: list[list[int]], seed: int, random: Random
) -> None:
    photos = [p for place, some in enumerate(sizes) for p in breed_of(f"b{place}", some)]
    lists = (Split.TRAIN, Split.TEST, None)
    listed = {p.photo_id: side for p in photos if (side := random.choice(lists)) is not None}
    gone = {p.photo_id for p in misfits(photos, {}, listed)}
    assert all(listed[photo_id] is Split.TRAIN for photo_id in gone)  # the test stays whole
    kept = [p for p in photos if p.photo_id not in gone]
    sides = assign_sides(kept, {}, seed, listed)
    for photo_id, wanted in listed.items():
        if photo_id not in gone:
            assert (sides[photo_id] is Split.TEST) == (wanted is Split.TEST)
    assert misfits(kept, {p.group_id: sides[p.photo_id] for p in kept}, listed) == []


def test_the_train_list_has_its_own_share_of_validation() -> None:
    photos = breed_of("pug", [1] * 100)
    listed = dict.fromkeys((p.photo_id for p in photos), Split.TRAIN)
    first = Counter(assign_sides(photos, {}, 42, listed).values())
    assert first == {Split.TRAIN: 75, Split.VALIDATION: 25}
    later = Counter(assign_sides(photos, {"elsewhere": Split.TEST}, 42, listed).values())
    assert later[Split.TEST] == 0
    assert 10 <= later[Split.VALIDATION] <= 40
