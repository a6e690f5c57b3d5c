"""The rules for duplicates, conflicts and groups, without files or a database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from doggo.core.records import Origin, Outcome, Photo, Split
from doggo.intake.decide import Decision, File, Likeness, decide
from doggo.intake.facts import Fact, Picture

# A picture of the tests: which scene it shows, and which copy of the scene it is. Copies of a
# scene are near duplicates; a copy may be handed in under several breeds and as several files.
Handed = tuple[int, int, str, int]  # scene, copy, breed, encoding


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def phash_of(scene: int, copy: int) -> str:
    return f"{int(sha('scene', scene)[:16], 16) ^ (1 << copy):016x}"


def file_of(handed: Handed) -> File:
    scene, copy, breed, encoding = handed
    picture = Picture(
        photo_id=sha("bytes", scene, copy, encoding),
        extension="jpg",
        width_px=300,
        height_px=200,
        phash=phash_of(scene, copy),
        offset=0,
        shard_height_px=200,
        shard_width_px=300,
    )
    return File(f"{handed}", breed, None, Fact(sha("file", scene, copy, encoding), picture))


def settle(stored: dict[str, Photo], files: Sequence[File]) -> Decision:
    """Decide on files and apply the decision to `stored`, as the database would."""
    seen = [file.fact.picture for file in files if file.fact.picture]
    hashes = {one.photo_id: one.phash for one in (*seen, *stored.values())}

    def compare(a: str, b: str) -> Likeness:
        if hashes[a] == hashes[b]:
            return Likeness.EQUAL
        return Likeness.NEAR if hashes[a][:8] == hashes[b][:8] else Likeness.DIFFERENT

    decision = decide(files, list(stored.values()), compare, Origin.OWNER)
    for old, new in decision.merged.items():
        for photo in list(stored.values()):
            if photo.group_id == old:
                stored[photo.photo_id] = replace(photo, group_id=new)
    stored.update(decision.photos)
    for photo_id in decision.set_aside:
        stored[photo_id] = replace(stored[photo_id], quarantine="conflict")
    for photo_id in decision.restored:
        stored[photo_id] = replace(stored[photo_id], quarantine=None)
    return decision


def near_all(a: str, b: str) -> Likeness:
    return Likeness.NEAR


def outcomes(decision: Decision) -> list[Outcome]:
    return [ruling.source.outcome for ruling in decision.rulings]


HANDED = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.sampled_from(["pug", "beagle"]), st.integers(0, 1)
    ),
    max_size=14,
)


def in_use(stored: dict[str, Photo]) -> tuple[set[tuple[str, str]], set[frozenset[str]]]:
    """Which pictures are in use under which breed, and how they are grouped."""
    used = [photo for photo in stored.values() if photo.quarantine is None]
    groups: dict[str, set[str]] = {}
    for photo in used:
        groups.setdefault(photo.group_id, set()).add(photo.phash)
    return (
        {(photo.phash, photo.breed) for photo in used},
        {frozenset(group) for group in groups.values()},
    )


@settings(max_examples=150, deadline=None)
@given(HANDED, st.randoms(use_true_random=False), st.integers(1, 5))
def test_what_is_in_use_depends_neither_on_order_nor_on_chunks(
    handed: list[Handed], random: object, size: int
) -> None:
    files = [file_of(one) for one in handed]
    whole: dict[str, Photo] = {}
    settle(whole, files)
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    pieces: dict[str, Photo] = {}
    for start in range(0, len(shuffled), size):
        settle(pieces, shuffled[start : start + size])
    assert in_use(pieces) == in_use(whole)


@settings(max_examples=150, deadline=None)
@given(HANDED, st.integers(1, 5))
def test_chunks_change_no_row_at_all(handed: list[Handed], size: int) -> None:
    files = [file_of(one) for one in handed]
    whole: dict[str, Photo] = {}
    settle(whole, files)
    pieces: dict[str, Photo] = {}
    for start in range(0, len(files), size):
        settle(pieces, files[start : start + size])
    assert pieces == whole


@settings(max_examples=150, deadline=None)
@given(HANDED)
def test_no_picture_in_use_has_two_breeds(handed: list[Handed]) -> None:
    stored: dict[str, Photo] = {}
    decision = settle(stored, [file_of(one) for one in handed])
    breeds: dict[int, set[str]] = {}
    for scene, _, breed, _ in handed:
        breeds.setdefault(scene, set()).add(breed)
    pictures = {phash_of(scene, copy): scene for scene, copy, _, _ in handed}
    used = {pictures[photo.phash] for photo in stored.values() if photo.quarantine is None}
    conflicted = {scene for scene, names in breeds.items() if len(names) > 1}
    assert used == set(breeds) - conflicted
    assert len(decision.rulings) == len(handed)
    by_scene = zip(handed, decision.rulings, strict=True)
    assert all(
        ruling.source.outcome is not Outcome.CONFLICT
        for (scene, *_), ruling in by_scene
        if scene not in conflicted
    )


def test_the_same_bytes_or_pixels_are_added_once() -> None:
    files = [file_of((1, 0, "pug", 0)), file_of((1, 0, "pug", 0)), file_of((1, 0, "pug", 1))]
    stored: dict[str, Photo] = {}
    assert outcomes(settle(stored, files)) == [
        Outcome.ADDED,
        Outcome.EXACT_DUPLICATE,
        Outcome.EXACT_DUPLICATE,
    ]
    assert len(stored) == 1


def test_a_near_duplicate_joins_the_group() -> None:
    stored: dict[str, Photo] = {}
    decision = settle(stored, [file_of((1, 0, "pug", 0)), file_of((1, 1, "pug", 0))])
    assert [ruling.near for ruling in decision.rulings] == [False, True]
    assert len({photo.group_id for photo in stored.values()}) == 1


def test_a_photo_accepted_earlier_is_set_aside_by_a_conflict() -> None:
    stored: dict[str, Photo] = {}
    settle(stored, [file_of((1, 0, "pug", 0)), file_of((1, 1, "pug", 0))])
    decision = settle(stored, [file_of((1, 2, "beagle", 0))])
    assert outcomes(decision) == [Outcome.CONFLICT]
    assert {photo.quarantine for photo in stored.values()} == {"conflict"}
    assert outcomes(settle(stored, [file_of((1, 3, "pug", 0))])) == [Outcome.CONFLICT]


def sided(handed: Handed, split: Split | None) -> Photo:
    stored: dict[str, Photo] = {}
    settle(stored, [file_of(handed)])
    [photo] = stored.values()
    return replace(photo, split=split)


def bridge(left: Photo, right: Photo) -> Decision:
    """Hand in a picture that is near to both, where they are not near to each other."""
    newcomer = file_of((7, 0, "pug", 0))
    assert newcomer.fact.picture is not None
    phash = newcomer.fact.picture.phash
    left = replace(left, phash=f"{int(phash, 16) ^ 0b0111:016x}")
    right = replace(right, phash=f"{int(phash, 16) ^ 0b0111000:016x}")
    return decide([newcomer], [left, right], near_all, Origin.OWNER)


def test_a_newcomer_that_links_two_sides_is_set_aside_alone() -> None:
    left, right = sided((1, 0, "pug", 0), Split.TRAIN), sided((2, 0, "pug", 0), Split.TEST)
    decision = bridge(left, right)
    [ruling] = decision.rulings
    assert (ruling.source.outcome, ruling.source.reason) == (Outcome.QUARANTINED, "links_sides")
    assert not decision.photos
    assert not decision.merged
    assert not decision.set_aside


def test_groups_on_one_side_become_one() -> None:
    left, right = sided((1, 0, "pug", 0), None), sided((2, 0, "pug", 0), Split.TEST)
    decision = bridge(left, right)
    assert outcomes(decision) == [Outcome.ADDED]
    [photo] = decision.photos.values()
    assert decision.merged == {left.group_id: right.group_id}
    assert photo.group_id == right.group_id


def test_a_near_hash_of_another_picture_is_not_a_duplicate() -> None:
    stored: dict[str, Photo] = {}
    files = [file_of((1, 0, "pug", 0)), file_of((1, 1, "pug", 0))]
    decision = decide(files, [], lambda a, b: Likeness.DIFFERENT, Origin.OWNER)
    stored.update(decision.photos)
    assert len({photo.group_id for photo in stored.values()}) == 2


def test_a_damaged_photo_is_restored_by_handing_it_in_again() -> None:
    photo = replace(sided((1, 0, "pug", 0), Split.TEST), quarantine="broken")
    decision = decide(
        [file_of((1, 0, "pug", 0))], [photo], lambda a, b: Likeness.NEAR, Origin.OWNER
    )
    assert outcomes(decision) == [Outcome.ADDED]
    assert decision.restored == {photo.photo_id}
    assert not decision.photos


def test_a_copy_of_a_damaged_photo_takes_its_place() -> None:
    photo = replace(sided((1, 0, "pug", 0), Split.TEST), quarantine="broken")
    decision = decide(
        [file_of((1, 0, "pug", 1))], [photo], lambda a, b: Likeness.NEAR, Origin.OWNER
    )
    assert outcomes(decision) == [Outcome.ADDED]
    [copy] = decision.photos.values()
    assert copy.group_id == photo.group_id


def test_a_user_photo_is_never_shown() -> None:
    decision = decide([file_of((1, 0, "pug", 0))], [], near_all, Origin.USER)
    [photo] = decision.photos.values()
    assert (photo.origin, photo.may_be_shown) == (Origin.USER, False)


def test_a_file_without_label_or_picture_is_quarantined() -> None:
    unlabelled = File("a.jpg", None, "nothing names it", Fact("1" * 64))
    broken = File("b.jpg", "pug", None, Fact("2" * 64, reason="truncated", detail="ends early"))
    decision = decide([unlabelled, broken], [], near_all, Origin.OWNER)
    reasons = [(r.source.outcome, r.source.reason, r.source.detail) for r in decision.rulings]
    assert reasons == [
        (Outcome.QUARANTINED, "no_label", "nothing names it"),
        (Outcome.QUARANTINED, "truncated", "ends early"),
    ]
