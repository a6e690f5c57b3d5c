"""The spool: only finished shards count, and what dead runs left goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doggo.core.errors import StorageError
from doggo.core.records import Origin
from doggo.storage.pixels import PixelKey, Place
from doggo.storage.shards import write_shard
from doggo.storage.spool import Spool, SpoolShard

KEY = PixelKey(256, "decoder-1", "none")
PLACES = (Place("a" * 64, 0, 2, 3), Place("b" * 64, 18, 2, 3))


def filled(spool: Spool) -> Path:
    path = spool.shard_path()
    write_shard(path, [np.zeros((2, 3, 3), np.uint8)] * 2)
    return path


def test_a_marked_shard_is_found_until_it_is_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with spool.session():
        path = filled(spool)
        assert spool.finished() == []
        spool.mark(path, KEY, Origin.USER, PLACES)
    [shard] = spool.finished()
    assert shard == SpoolShard(path, KEY, Origin.USER, PLACES)
    spool.drop(shard)
    assert spool.finished() == []
    assert not path.exists()


def test_a_shard_without_accepted_photos_goes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool.session():
        path = filled(spool)
        spool.mark(path, KEY, Origin.OWNER, ())
    assert not path.exists()


def test_what_a_dead_run_left_is_cleared_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool.session() as dead:
        (dead / "half").write_bytes(b"x")
        kept = filled(spool)
        spool.mark(kept, KEY, Origin.OWNER, PLACES)
        unfinished = filled(spool)
        with Spool(tmp_path).session() as mine:  # the other one is dead as far as this one knows
            assert mine != dead
            assert not dead.exists()
            assert not unfinished.exists()
            assert kept.exists()
        assert not mine.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": {}}'])
def test_a_damaged_index_is_dropped_with_its_shard(tmp_path: Path, text: str) -> None:
    spool = Spool(tmp_path)
    with spool.session():
        path = filled(spool)
        path.with_suffix(".json").write_text(text)
        assert spool.finished() == []
    assert not path.exists()
    assert not path.with_suffix(".json").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot use"), Spool(tmp_path / "file").session():
        pytest.fail("no folder")
