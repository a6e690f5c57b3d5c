"""The rules for duplicates, conflicts and groups, without files or a database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from doggo.core.records import Origin, Outcome, Photo, Source, Split
from doggo.intake.decide import File, Likeness, decide
from doggo.intake.facts import Fact, Picture
from doggo.intake.rulings import Decision

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


@dataclass
class Ledger:
    """What intakes were told, and which files there are now."""

    entries: dict[tuple[str, str], Source] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)

    def standing(self, photo_ids: Collection[str]) -> list[tuple[Source, bool]]:
        mine = [source for source in self.entries.values() if source.photo_id in photo_ids]
        return [(source, (source.source_sha256, source.breed) not in self.gone) for source in mine]

    def apply(self, decision: Decision) -> None:
        for key in decision.retracted:
            del self.entries[key]
        for photo in decision.mended.values():
            for key, source in self.entries.items():
                if source.photo_id == photo.photo_id and source.outcome is Outcome.CONFLICT:
                    self.entries[key] = replace(source, outcome=Outcome.ADDED)
        in_conflict = [source for source in decision.met if source.outcome is Outcome.CONFLICT]
        for source in [*(ruling.source for ruling in decision.rulings), *in_conflict]:
            self.entries.setdefault((source.source_sha256, source.breed), source)
        for key, source in self.entries.items():
            if source.photo_id in decision.set_aside:
                self.entries[key] = replace(source, outcome=Outcome.CONFLICT)


def nobody(photo_ids: Collection[str]) -> list[tuple[Source, bool]]:
    return []


def settle(
    stored: dict[str, Photo],
    files: Sequence[File],
    ledger: Ledger | None = None,
    known: Sequence[Source] = (),
) -> Decision:
    """Decide on files and apply the decision to `stored`, as the database would.

    Without a ledger each photo is said to be what it is.
    """
    said = Ledger({(id_, photo.breed): said_of(photo) for id_, photo in stored.items()})
    ledger = said if ledger is None else ledger
    seen = [file.fact.picture for file in files if file.fact.picture]
    hashes = {one.photo_id: one.phash for one in (*seen, *stored.values())}

    def compare(a: str, b: str) -> Likeness:
        if hashes[a] == hashes[b]:
            return Likeness.EQUAL
        return Likeness.NEAR if hashes[a][:8] == hashes[b][:8] else Likeness.DIFFERENT

    decision = decide(files, list(stored.values()), compare, ledger.standing, Origin.OWNER, known)
    ledger.apply(decision)
    stored.update(decision.mended)
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


def said_of(photo: Photo) -> Source:
    return Source(
        source_sha256=photo.photo_id,
        breed=photo.breed,
        path="",
        outcome=Outcome.ADDED,
        photo_id=photo.photo_id,
    )


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
    pieces, ledger = dict[str, Photo](), Ledger()
    for start in range(0, len(shuffled), size):
        settle(pieces, shuffled[start : start + size], ledger)
    assert in_use(pieces) == in_use(whole)


@settings(max_examples=150, deadline=None)
@given(HANDED, st.integers(1, 5))
def test_chunks_change_no_row_at_all(handed: list[Handed], size: int) -> None:
    files = [file_of(one) for one in handed]
    whole: dict[str, Photo] = {}
    settle(whole, files)
    pieces, ledger = dict[str, Photo](), Ledger()
    for start in range(0, len(files), size):
        settle(pieces, files[start : start + size], ledger)
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


WORLDS = st.lists(
    st.dictionaries(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 1)),
        st.sampled_from(["pug", "beagle", "boxer"]),
        min_size=1,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(WORLDS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_after_any_moves_the_files_that_are_there_say_the_breed(
    worlds: list[dict[tuple[int, int, int], str]], random: object, size: int
) -> None:
    """An owner moves and deletes files between intakes, which are given all there is."""
    stored, ledger = dict[str, Photo](), Ledger()
    for world in worlds:
        files = [file_of((scene, copy, world[key], n)) for key in world for scene, copy, n in [key]]
        random.shuffle(files)  # type: ignore[attr-defined]
        there = {(file.fact.source_sha256, file.breed or "") for file in files}
        ledger.gone = ledger.entries.keys() - there
        for start in range(0, len(files), size):
            some = files[start : start + size]
            keys = [(file.fact.source_sha256, file.breed or "") for file in some]
            unknown = [f for f, key in zip(some, keys, strict=True) if key not in ledger.entries]
            known = [ledger.entries[key] for key in keys if key in ledger.entries]
            aside = [source for source in known if source.outcome is Outcome.CONFLICT]
            settle(stored, unknown, ledger, aside)
            ledger.gone &= ledger.entries.keys()
        breeds: dict[int, set[str]] = {}
        for (scene, _, _), breed in world.items():
            breeds.setdefault(scene, set()).add(breed)
        for scene, said in breeds.items():
            hashes = {phash_of(scene, copy) for copy in range(3)}
            found = {(p.breed, p.quarantine) for p in stored.values() if p.phash in hashes}
            if len(said) == 1:
                assert found == {(said.pop(), None)}
            else:
                assert {quarantine for _, quarantine in found} == {"conflict"}


def relinked(*, agreeing: bool) -> tuple[dict[str, Photo], str]:
    """Photos on two sides that a newcomer of another breed linked, whose file is gone now."""
    left, right = sided((1, 0, "pug", 0), Split.TRAIN), sided((2, 0, "pug", 0), Split.TEST)
    newcomer = file_of((7, 0, "beagle", 0))
    assert newcomer.fact.picture is not None
    phash = int(newcomer.fact.picture.phash, 16)
    left = replace(left, phash=f"{phash ^ 0b0111:016x}")
    right = replace(right, phash=f"{phash ^ 0b0111000:016x}")
    said = Ledger({(photo.photo_id, "pug"): said_of(photo) for photo in (left, right)})
    first = decide([newcomer], [left, right], near_all, said.standing, Origin.OWNER)
    assert len(first.set_aside) == 2
    [kept] = set(first.merged.values())
    ids = (left.photo_id, right.photo_id, newcomer.fact.picture.photo_id)
    photos = (left, right, first.photos[ids[2]])
    aside = {p.photo_id: replace(p, group_id=kept, quarantine="conflict") for p in photos}
    said.apply(first)
    said.gone = {(newcomer.fact.source_sha256, "beagle")} if agreeing else set()
    known = [said.entries[id_, "pug"] for id_ in ids[:2]]
    settle(aside, [], said, known)
    return aside, ids[2]


def test_what_a_conflict_linked_across_sides_is_parted_when_it_is_solved() -> None:
    photos, link = relinked(agreeing=True)
    assert photos[link].quarantine == "links_sides"
    left, right = (photo for id_, photo in photos.items() if id_ != link)
    assert (left.quarantine, right.quarantine) == (None, None)
    assert {left.split, right.split} == {Split.TRAIN, Split.TEST}
    assert left.group_id != right.group_id
    photos, _ = relinked(agreeing=False)
    assert {photo.quarantine for photo in photos.values()} == {"conflict"}


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
    said = Ledger({(photo.photo_id, "pug"): said_of(photo) for photo in (left, right)})
    return decide([newcomer], [left, right], near_all, said.standing, Origin.OWNER)


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
    decision = decide(files, [], lambda a, b: Likeness.DIFFERENT, nobody, Origin.OWNER)
    stored.update(decision.photos)
    assert len({photo.group_id for photo in stored.values()}) == 2


def test_a_damaged_photo_is_restored_by_handing_it_in_again() -> None:
    photo = replace(sided((1, 0, "pug", 0), Split.TEST), quarantine="broken")
    decision = decide([file_of((1, 0, "pug", 0))], [photo], near_all, nobody, Origin.OWNER)
    assert outcomes(decision) == [Outcome.ADDED]
    assert decision.restored == {photo.photo_id}
    assert not decision.photos


def test_a_copy_of_a_damaged_photo_takes_its_place() -> None:
    photo = replace(sided((1, 0, "pug", 0), Split.TEST), quarantine="broken")
    decision = decide([file_of((1, 0, "pug", 1))], [photo], near_all, nobody, Origin.OWNER)
    assert outcomes(decision) == [Outcome.ADDED]
    [copy] = decision.photos.values()
    assert copy.group_id == photo.group_id


def test_a_user_photo_is_never_shown() -> None:
    decision = decide([file_of((1, 0, "pug", 0))], [], near_all, nobody, Origin.USER)
    [photo] = decision.photos.values()
    assert (photo.origin, photo.may_be_shown) == (Origin.USER, False)


def test_a_file_without_label_or_picture_is_quarantined() -> None:
    unlabelled = File("a.jpg", None, "nothing names it", Fact("1" * 64))
    broken = File("b.jpg", "pug", None, Fact("2" * 64, reason="truncated", detail="ends early"))
    decision = decide([unlabelled, broken], [], near_all, nobody, Origin.OWNER)
    reasons = [(r.source.outcome, r.source.reason, r.source.detail) for r in decision.rulings]
    assert reasons == [
        (Outcome.QUARANTINED, "no_label", "nothing names it"),
        (Outcome.QUARANTINED, "truncated", "ends early"),
    ]
