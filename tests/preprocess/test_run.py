"""Preprocess on real files: pixels, sides, manifests, and what it costs to add photos."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands import decoding_processes
from tests.homes import Home, drawn_folder, jpeg, near, write_folder
from tests.own_step import Installation
from tests.pictures import encode

from doggo.core.errors import InputError, StorageError, UsageError
from doggo.core.records import Manifest, Origin, Split
from doggo.storage.disk import HEADROOM_BYTES
from doggo.storage.manifests import load, saved_ids
from doggo.storage.photos import Removal
from doggo.storage.pixels import PixelIndex
from doggo.storage.shards import PixelReader
from doggo.vision.photo import canonical


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


def check_pixels(home: Home, manifest: Manifest, short_side_px: int = 256) -> None:
    """Every row's pixels are those of its raw object."""
    reader = PixelReader(home.processed)
    for row in manifest.rows:
        data = Path(row.raw_uri.removeprefix("file://")).read_bytes()
        assert np.array_equal(reader.image(row), canonical(data, short_side_px))


def shards(home: Home) -> dict[str, tuple[int, int]]:
    """The shards of the processed bucket, with what changes when one is touched."""
    found = {key: home.processed.path(key).stat() for key in home.processed.list("shards/")}
    return {key: (stat.st_ino, stat.st_mtime_ns) for key, stat in found.items()}


def test_pixels_are_those_of_the_raw_objects(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=3, photos=20))
    manifest = home.prepare()
    assert len(manifest.rows) == 60
    assert manifest.breeds == ("affenpinscher", "beagle", "pug")
    check_pixels(home, manifest)
    assert load(home.processed) == manifest
    assert not list((home.spool / "shards").iterdir())


def test_what_intake_decoded_is_not_decoded_again(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    inodes = {path.stat().st_ino for path in (home.spool / "shards").glob("*.npy")}
    home.prepare(progress=lambda *_: None)
    assert {inode for inode, _ in shards(home).values()} == inodes


def test_a_second_run_changes_nothing(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    first, before = home.prepare(), shards(home)
    assert home.prepare() == first
    assert shards(home) == before
    assert saved_ids(home.processed) == [first.manifest_id]


def test_adding_photos_reads_only_the_new_ones(home: Home, tmp_path: Path) -> None:
    old = drawn_folder(tmp_path / "old", breeds=5, photos=100)
    home.take_in(old)
    first, before = home.prepare(), shards(home)
    os.sync()
    # Whatever opens an old raw object or shard fails.
    for bucket in (home.raw.root, home.processed.root / "shards"):
        bucket.rename(bucket.with_name(bucket.name + " away"))
    (home.processed.root / "shards").mkdir()
    for key in before:  # that a shard is there, and how long it is, may be asked
        stand_in = home.processed.path(key)
        stand_in.parent.mkdir(exist_ok=True)
        away = home.processed.root / "shards away" / Path(key).relative_to("shards")
        with stand_in.open("wb") as file:
            file.truncate(away.stat().st_size)
    home.raw.root.mkdir()
    home.take_in(drawn_folder(tmp_path / "new", breeds=5, photos=10, first=500))
    second = home.prepare()
    assert len(second.rows) == 550
    old_rows = {row.photo_id: row for row in first.rows}
    assert all(old_rows.get(row.photo_id, row) == row for row in second.rows)
    new = [row for row in second.rows if row.photo_id not in old_rows]
    assert len(new) == 50
    assert not {row.shard for row in new} & before.keys()
    assert len(list(home.raw.list())) == 50


def test_sides_stay_when_photos_come_and_near_duplicates_follow(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "old", breeds=2, photos=24))
    first = {row.photo_id: row for row in home.prepare().rows}
    copies = [near(number) for number in range(24)]
    home.take_in(write_folder(tmp_path / "new", {"affenpinscher": copies}))
    second = home.prepare()
    sides: dict[str, set[Split]] = {}
    for row in second.rows:
        sides.setdefault(row.group_id, set()).add(row.split)
        if row.photo_id in first:
            assert row == first[row.photo_id]
    assert len(second.rows) == 72
    assert len(sides) == 48
    assert all(len(one) == 1 for one in sides.values())


def test_a_photo_in_conflict_leaves_later_manifests_only(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "old", breeds=2, photos=10))
    first = home.prepare()
    home.take_in(write_folder(tmp_path / "new", {"pug": [near(1)]}))
    second = home.prepare()
    assert len(second.rows) == 19
    assert load(home.processed, first.manifest_id) == first
    check_pixels(home, first)


def test_pixels_of_a_photo_set_aside_before_are_left_out(home: Home, tmp_path: Path) -> None:
    photos = [jpeg(number) for number in range(8)]
    folder = write_folder(tmp_path / "photos", {"pug": photos})
    home.take_in(folder)
    home.take_in(write_folder(tmp_path / "other", {"boxer": [near(n) for n in range(4)]}))
    manifest = home.prepare()
    assert len(manifest.rows) == 4
    check_pixels(home, manifest)
    held = sum(home.processed.path(row.shard).stat().st_size for row in manifest.rows[:1])
    assert held < 1.2 * sum(row.height_px * row.width_px * 3 for row in manifest.rows) + 128


def test_max_data_takes_so_many_and_all_is_the_default(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=3, photos=20))
    few = home.prepare(max_data=15)
    assert Counter(row.breed for row in few.rows) == {"affenpinscher": 5, "beagle": 5, "pug": 5}
    check_pixels(home, few)
    everything = home.prepare()
    assert len(everything.rows) == 60
    assert set(few.rows) <= set(everything.rows)
    assert Counter(row.split for row in everything.rows) == {
        "train": 33,
        "validation": 12,
        "test": 15,
    }
    assert home.prepare(max_data=15) == few
    with pytest.raises(UsageError, match="--max-data must be at least 1"):
        home.prepare(max_data=0)


def test_another_short_side_is_decoded_from_the_raw_bucket(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=10))
    usual, smaller = home.prepare(), home.prepare(short_side_px=96)
    check_pixels(home, usual)
    check_pixels(home, smaller, 96)
    assert smaller.short_side_px == 96
    assert smaller.manifest_id != usual.manifest_id
    assert {row.photo_id: row.split for row in usual.rows} == {
        row.photo_id: row.split for row in smaller.rows
    }


def test_pixels_that_have_no_room_are_refused_before_the_start(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=3))
    before = home.prepare()
    room = HEADROOM_BYTES + 6 * 300_000  # at 256 px
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: room)
    with pytest.raises(StorageError, match=r"7 MB is needed for the pixels of 6 photos"):
        home.prepare(short_side_px=512)
    assert shards(home).keys() == {row.shard for row in before.rows}
    assert len(home.prepare(short_side_px=256).rows) == 6  # they are there


def test_raw_objects_that_are_lost_or_altered_are_quarantined(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    first, second, *_ = home.raw.list()
    home.raw.delete(first)
    home.raw.write(second, home.raw.read(second)[:-20])
    manifest = home.prepare(short_side_px=100)
    assert len(manifest.rows) == 38
    reasons = {source.reason: source.detail for source in home.store.ledger.quarantined()}
    assert reasons == {
        "unreadable": "its raw object: it is not there",
        "broken": "its raw object was altered since intake",
    }


def test_a_bucket_that_is_not_there_is_not_taken_for_lost_photos(
    home: Home, tmp_path: Path
) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    home.raw.root.rename(tmp_path / "unmounted")
    with pytest.raises(StorageError, match="check that it is mounted"):
        home.prepare(short_side_px=100)
    (tmp_path / "unmounted").rename(home.raw.root)
    assert len(home.prepare(short_side_px=100).rows) == 40


def test_lost_photos_alone_to_decode_are_not_taken_for_a_bucket_that_is_not_there(
    home: Home, tmp_path: Path
) -> None:
    home.take_in(drawn_folder(tmp_path / "old", breeds=2, photos=10))
    home.prepare()
    before = set(home.raw.list())
    home.take_in(drawn_folder(tmp_path / "new", breeds=1, photos=4, first=500))
    for shard in (home.spool / "shards").iterdir():
        shard.unlink()
    for key in set(home.raw.list()) - before:
        home.raw.delete(key)
    assert len(home.prepare().rows) == 20
    assert [source.reason for source in home.store.ledger.quarantined()] == ["unreadable"] * 4
    home.take_in(tmp_path / "new")
    assert len(home.prepare().rows) == 24


def test_a_lost_shard_is_made_again(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    before = home.prepare()
    gone, cut, *_ = shards(home)
    home.processed.delete(gone)
    with home.processed.path(cut).open("r+b") as file:
        file.truncate(1000)
    after = home.prepare()
    assert after.manifest_id == before.manifest_id
    check_pixels(home, after)
    assert load(home.processed) == after


def test_a_shard_that_is_cut_is_made_again_under_its_own_name(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=1, photos=5))
    before = home.prepare(short_side_px=100)
    [key] = {row.shard for row in before.rows}
    with home.processed.path(key).open("r+b") as file:
        file.truncate(1000)
    assert home.prepare(short_side_px=100) == before  # the same photos, so the same name
    check_pixels(home, before, 100)


def test_a_kill_between_removing_a_cut_shard_and_forgetting_it_is_made_good(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=1, photos=5))
    before = home.prepare(short_side_px=100)
    [key] = {row.shard for row in before.rows}
    with home.processed.path(key).open("r+b") as file:
        file.truncate(1000)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PixelIndex, "forget_shards", die)
        with pytest.raises(KeyboardInterrupt):
            home.prepare(short_side_px=100)
    assert not home.processed.exists(key)
    assert home.prepare(short_side_px=100) == before
    check_pixels(home, before, 100)


def test_a_spool_shard_that_is_cut_is_decoded_again(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=20))
    path = next((home.spool / "shards").glob("*.npy"))
    with path.open("r+b") as file:
        file.truncate(1000)
    manifest = home.prepare()
    assert len(manifest.rows) == 40
    check_pixels(home, manifest)


def test_a_killed_decoder_does_not_stop_the_run(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=4, photos=50))
    killed: list[int] = []

    def kill_one(stage: str, done: int, total: int) -> None:
        if done and not killed and (children := decoding_processes()):
            children[0].kill()
            killed.append(children[0].pid)

    manifest = home.prepare(short_side_px=100, progress=kill_one)
    assert killed
    assert len(manifest.rows) == 200
    check_pixels(home, manifest, 100)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "np.exit_now()"])
def test_a_photo_whose_decoder_dies_is_only_left_out(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=2, photos=5))
    white = encode(Image.new("RGB", (160, 128), "white"), "JPEG")
    home.take_in(write_folder(tmp_path / "white", {"pug": [white]}))
    # Such as the kernel does where memory is short; the decoder has no fault of its own to show.
    mine = Installation(tmp_path / "mine")
    workers = mine.step.parents[1] / "preprocess" / "worker.py"
    text = workers.read_text().replace(
        "        image_HWC = canonical(data, short_side_px)\n",
        "        image_HWC = canonical(data, short_side_px)\n"
        f"        import os\n        if image_HWC.min() > 250:\n            {end}\n",
    )
    workers.write_text(text.replace("import hashlib\n", "import hashlib\nimport numpy as np\n"))
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", mine.path)
        made = home.make(short_side_px=100)
    assert len(made.manifest.rows) == 10
    [left_out] = made.left_out
    assert left_out.reason == "decoder_failed"
    assert left_out.raw_uri.endswith(f"/pug/{left_out.photo_id}.jpg")
    assert home.store.ledger.quarantined() == []
    again = home.make(short_side_px=100)
    assert (len(again.manifest.rows), again.left_out) == (11, ())


def too_much(home: Home, tmp_path: Path) -> None:
    """Take in eleven photos, one of them too large to be decoded for a short side of 1024 px."""
    wide = encode(Image.new("RGB", (7_000, 2_800), "white"), "JPEG")
    home.take_in(drawn_folder(tmp_path / "photos", breeds=1, photos=10))
    home.take_in(write_folder(tmp_path / "wide", {"pug": [wide]}))


def test_a_photo_that_one_short_side_is_too_much_for_is_left_out_there_alone(
    home: Home, tmp_path: Path
) -> None:
    too_much(home, tmp_path)
    before = home.prepare()
    larger = home.make(short_side_px=1024)
    assert (len(before.rows), len(larger.manifest.rows)) == (11, 10)
    [left_out] = larger.left_out
    assert left_out.reason == "too_many_pixels"
    assert "decoding this JPEG of 7,000 x 2,800 px takes about" in left_out.detail
    assert home.store.ledger.quarantined() == []
    assert home.prepare() == before


def test_where_no_photo_can_be_decoded_one_is_named_with_its_reason(
    home: Home, tmp_path: Path
) -> None:
    wide = encode(Image.new("RGB", (7_000, 2_800), "white"), "JPEG")
    home.take_in(write_folder(tmp_path / "wide", {"pug": [wide]}))
    with pytest.raises(InputError, match=r"no photo can be decoded, such as .*\.jpg: decoding"):
        home.prepare(short_side_px=1024)
    assert len(home.prepare().rows) == 1


def test_what_an_earlier_doggo_set_aside_for_one_short_side_comes_back_by_intake(
    home: Home, tmp_path: Path
) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=1, photos=4))
    first = home.prepare()
    photo_id = first.rows[0].photo_id
    home.store.remove([Removal(photo_id, "too_many_pixels", "too large for 1024 px")])
    assert len(home.prepare().rows) == 3
    home.take_in(tmp_path / "photos")
    assert home.prepare() == first


def test_users_photos_are_apart_from_the_owners(home: Home, tmp_path: Path) -> None:
    home.take_in(drawn_folder(tmp_path / "mine", breeds=2, photos=10))
    home.take_in(
        drawn_folder(tmp_path / "theirs", breeds=2, photos=5, first=50), origin=Origin.USER
    )
    mine, theirs = home.prepare(), home.prepare(origin=Origin.USER)
    assert (len(mine.rows), len(theirs.rows)) == (20, 10)
    assert not {row.shard for row in mine.rows} & {row.shard for row in theirs.rows}
    assert not any(row.may_be_shown for row in theirs.rows)
    assert all(row.may_be_shown for row in mine.rows)
    check_pixels(home, theirs)


def test_delete_local_removes_what_is_safely_in_the_bucket(home: Home, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "photos", breeds=1, photos=8) / "affenpinscher"
    (folder / "broken.jpg").write_bytes(jpeg(99)[:500])
    (folder / "twin.jpg").write_bytes(jpeg(3))
    home.take_in(folder)
    changed, altered = folder / "000.jpg", folder / "001.jpg"
    changed.write_bytes(b"something else by now")
    key = next(k for k in home.raw.list() if home.raw.read(k) != b"" and _is(home, k, altered))
    home.prepare()
    home.raw.write(key, b"altered")
    home.prepare(delete_local=True)
    left = {path.name for path in folder.iterdir()}
    assert left == {"000.jpg", "001.jpg", "broken.jpg", "twin.jpg"}


def _is(home: Home, key: str, path: Path) -> bool:
    """Whether the raw object is the one made of a file."""
    sources = {
        source.path: source.photo_id for source, _ in home.store.ledger.added_sources(Origin.OWNER)
    }
    return sources.get(str(path)) == Path(key).stem


def test_no_photos_is_one_line(home: Home) -> None:
    with pytest.raises(InputError, match="run `doggo intake FOLDER` first"):
        home.prepare()


@pytest.mark.parametrize("breeds", [1, 5])
def test_one_photo_a_breed_makes_a_dataset(home: Home, tmp_path: Path, breeds: int) -> None:
    home.take_in(drawn_folder(tmp_path / "photos", breeds=breeds, photos=1))
    assert {row.split for row in home.prepare().rows} == {Split.TRAIN}


def test_real_photos_and_their_copies_stay_on_one_side(
    home: Home, shared_photos: Path, tmp_path: Path
) -> None:
    home.take_in(*(shared_photos / breed for breed in ("pug", "boxer", "dingo", "beagle")))
    manifest = home.prepare()
    check_pixels(home, manifest)
    for breed in manifest.breeds:
        counts = Counter(row.split for row in manifest.rows if row.breed == breed)
        total = counts.total()
        assert abs(counts[Split.TEST] - total / 4) <= 2
        assert abs(counts[Split.VALIDATION] - total * 3 / 16) <= 2
