"""What a decoding process tells of a chunk of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.homes import jpeg
from tests.pictures import KINDS, stripped, telling

from doggo.core.errors import StorageError
from doggo.intake.facts import Chunk
from doggo.intake.found import hash_file
from doggo.intake.worker import read_chunk
from doggo.storage.shards import map_shard
from doggo.vision.perceptual import phash
from doggo.vision.photo import canonical


def chunk_of(tmp_path: Path, *files: bytes) -> Chunk:
    paths = []
    for number, data in enumerate(files):
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        paths.append((str(path), True))
    return Chunk(tuple(paths), str(tmp_path / "staging"), str(tmp_path / "shard.npy"))


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_those_of_the_cleaned_bytes(tmp_path: Path, kind: str) -> None:
    data = telling(kind, 6)
    chunk = chunk_of(tmp_path, jpeg(1), data)
    _, fact = read_chunk(chunk)
    clean, extension = stripped(data)
    picture = fact.picture
    assert picture is not None
    assert fact.source_sha256 == hashlib.sha256(data).hexdigest() == hash_file(chunk.files[1][0])
    assert picture.photo_id == hashlib.sha256(clean).hexdigest()
    staged = Path(chunk.staging) / f"{picture.photo_id}.{extension}"
    assert staged.read_bytes() == clean
    image_HWC = canonical(clean)
    assert picture.phash == phash(image_HWC)
    height_px, width_px = picture.shard_height_px, picture.shard_width_px
    end = picture.offset + height_px * width_px * 3
    spooled = map_shard(Path(chunk.shard))[picture.offset : end]
    assert np.array_equal(spooled.reshape(height_px, width_px, 3), image_HWC)


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    chunk = chunk_of(tmp_path, jpeg(1))
    Path(chunk.files[0][0]).unlink()
    [fact] = read_chunk(chunk)
    assert (fact.source_sha256, fact.reason) == ("", "unreadable")


def test_a_file_without_label_is_only_identified(tmp_path: Path) -> None:
    chunk = chunk_of(tmp_path, jpeg(1))
    [fact] = read_chunk(Chunk(((chunk.files[0][0], False),), chunk.staging, chunk.shard))
    assert (fact.reason, fact.picture) == (None, None)


def test_a_spool_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    chunk = chunk_of(tmp_path, jpeg(1))
    with pytest.raises(StorageError, match="cannot write"):
        read_chunk(Chunk(chunk.files, chunk.staging, str(tmp_path / "missing" / "shard.npy")))
