"""Embeddings are computed once, kept safely, and belong to exactly one way of making them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from doggo.core.errors import InputError, StorageError
from doggo.core.records import ManifestRow, Origin, Split
from doggo.storage.disk import HEADROOM_BYTES
from doggo.vision import embeddings
from doggo.vision.embeddings import EmbeddingCache, EmbeddingKey, embed
from doggo.vision.pairs import REFERENCE, Pair
from doggo.vision.runtime import Session, open_session
from doggo.vision.view import View

SIZE_PX = 8
KEY = EmbeddingKey(
    features_sha256="ab" * 32,
    view=View(size_px=SIZE_PX, resize_px=SIZE_PX),
    pair=REFERENCE,
    decoder="drawn",
    step="none",
)


def _row(number: int) -> ManifestRow:
    photo_id = f"{number:064x}"
    return ManifestRow(
        photo_id=photo_id, raw_uri="", breed="pug", split=Split.TRAIN, sha256=photo_id,
        group_id=photo_id, shard="s", offset=number, height_px=SIZE_PX, width_px=SIZE_PX,
        origin=Origin.OWNER, may_be_shown=True,
    )  # fmt: skip


ROWS = tuple(_row(n) for n in range(70))


class Plain:
    """Each photo is one colour, told by its number; remembers which were asked for."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.asked: list[int] = []
        self.slow_s = slow_s

    def image(self, row: ManifestRow) -> NDArray[np.uint8]:
        time.sleep(self.slow_s)
        self.asked.append(row.offset)
        return np.full((SIZE_PX, SIZE_PX, 3), row.offset, np.uint8)


def opened(graph: Path) -> Callable[[], Session]:
    return lambda: open_session(graph, REFERENCE)


def _expected(rows: tuple[ManifestRow, ...]) -> NDArray[np.float32]:
    return np.repeat(np.array([[row.offset] for row in rows], np.float32), 3, axis=1)


def write_graph(file: Path) -> Path:
    """A network whose features are the mean colour."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["features"], keepdims=0),
    ]
    shape = ["N", SIZE_PX, SIZE_PX, 3]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, file)
    return file


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "mean.onnx")


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path)


def test_embeddings_come_in_the_order_of_the_rows(graph: Path, cache: EmbeddingCache) -> None:
    rows = ROWS[::-1]
    features = embed(rows, Plain(), opened(graph), key=KEY, cache=cache)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, _expected(rows))


def test_only_new_photos_are_computed(graph: Path, cache: EmbeddingCache) -> None:
    embed(ROWS[:40], Plain(), opened(graph), key=KEY, cache=cache)
    pixels = Plain()
    np.testing.assert_array_equal(
        embed(ROWS, pixels, opened(graph), key=KEY, cache=cache), _expected(ROWS)
    )
    assert sorted(pixels.asked) == list(range(40, 70))


def test_what_is_kept_needs_neither_pixels_nor_network(graph: Path, cache: EmbeddingCache) -> None:
    embed(ROWS, Plain(), opened(graph), key=KEY, cache=cache)
    graph.unlink()
    pixels = Plain()
    again = embed(ROWS[5:9], pixels, opened(graph), key=KEY, cache=cache)
    np.testing.assert_array_equal(again, _expected(ROWS[5:9]))
    assert not pixels.asked


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, features_sha256="cd" * 32),
        replace(KEY, view=View(size_px=SIZE_PX, resize_px=SIZE_PX, mode="squash")),
        replace(KEY, decoder="another 1.0"),
        replace(KEY, step="brighter"),
        replace(KEY, pair=Pair("openvino", "f32")),
    ],
)
def test_another_way_of_making_them_is_another_embedding(
    other: EmbeddingKey, cache: EmbeddingCache
) -> None:
    pytest.importorskip("openvino")
    cache.append(KEY, ["a"], np.ones((1, 3), np.float32))
    assert not cache.load(other, ["a"])
    assert set(cache.load(KEY, ["a", "b"])) == {"a"}


def test_another_version_of_the_runtime_is_another_embedding(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.append(KEY, ["a"], np.ones((1, 3), np.float32))
    monkeypatch.setattr(embeddings, "runtime_version", lambda _: "999.0")
    assert not cache.load(KEY, ["a"])


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "gone", "pickled", "ids"])
def test_a_damaged_chunk_is_computed_again(damage: str, graph: Path, cache: EmbeddingCache) -> None:
    embed(ROWS, Plain(), opened(graph), key=KEY, cache=cache)
    (chunk,) = cache.root.rglob("*.npy")
    data = chunk.read_bytes()
    if damage == "gone":
        chunk.unlink()
    elif damage == "ids":
        chunk.with_suffix(".ids").write_bytes(b"\xff")
    elif damage == "pickled":
        np.save(chunk, np.array([object()]), allow_pickle=True)
    else:
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        chunk.write_bytes({"cut": data[:-9], "flipped": flipped, "emptied": b""}[damage])
    pixels = Plain()
    np.testing.assert_array_equal(
        embed(ROWS, pixels, opened(graph), key=KEY, cache=cache), _expected(ROWS)
    )
    assert len(pixels.asked) == len(ROWS)
    assert embed(ROWS, Plain(), opened(graph), key=KEY, cache=cache).shape == (70, 3)


def test_progress_counts_what_was_kept_as_done(graph: Path, cache: EmbeddingCache) -> None:
    embed(ROWS[:40], Plain(), opened(graph), key=KEY, cache=cache)
    told: list[tuple[str, int, int]] = []
    embed(
        ROWS, Plain(), opened(graph), key=KEY, cache=cache, progress=lambda *what: told.append(what)
    )
    assert told[0] == ("embed", 40, 70)
    assert told[-1] == ("embed", 70, 70)


def test_no_photos_is_an_error_in_words(graph: Path, cache: EmbeddingCache) -> None:
    with pytest.raises(InputError, match="no photos to embed"):
        embed((), Plain(), opened(graph), key=KEY, cache=cache)


def test_a_photo_that_cannot_be_read_stops_it_and_keeps_the_chunks_before(
    graph: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn(Plain):
        def image(self, row: ManifestRow) -> NDArray[np.uint8]:
            if row.offset == 69:
                raise StorageError("the shard is damaged")
            return super().image(row)

    monkeypatch.setattr(embeddings, "_CHUNK", 32)
    monkeypatch.setattr(embeddings, "BATCH", 32)
    with pytest.raises(StorageError, match="shard is damaged"):
        embed(ROWS, Torn(), opened(graph), key=KEY, cache=cache)
    assert len(cache.load(KEY, [row.photo_id for row in ROWS])) == 64


def test_embeddings_that_have_no_room_are_refused_before_most_of_the_work(
    graph: Path, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doggo.storage.disk.free_bytes", lambda path: HEADROOM_BYTES)
    pixels = Plain()
    rows = [_row(number % 200) for number in range(2000)]
    with pytest.raises(StorageError, match="needed for the embeddings"):
        embed(rows, pixels, opened(graph), key=KEY, cache=cache)
    assert len(pixels.asked) < 1000
    assert not list(cache.root.rglob("*.npy"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_disk_that_refuses_gives_one_line(cache: EmbeddingCache) -> None:
    cache.root.mkdir()
    cache.root.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"):
        cache.append(KEY, ["a"], np.ones((1, 3), np.float32))


def test_a_file_in_the_way_gives_one_line(cache: EmbeddingCache) -> None:
    cache.root.write_text("in the way")
    with pytest.raises(StorageError, match="a file is where a folder should be"):
        cache.append(KEY, ["a"], np.ones((1, 3), np.float32))


_VICTIM = """
import sys
from pathlib import Path
from doggo.vision import embeddings
from tests.vision.test_embeddings import KEY, ROWS, Plain, opened
embeddings._CHUNK = embeddings.BATCH = 32
cache = embeddings.EmbeddingCache(Path(sys.argv[2]))
tell = lambda *what: print(what[1], flush=True)
embeddings.embed(ROWS, Plain(0.02), opened(Path(sys.argv[1])), key=KEY, cache=cache, progress=tell)
"""


def test_a_process_killed_at_any_moment_loses_the_chunk_in_the_making_only(
    graph: Path, cache: EmbeddingCache
) -> None:
    command = [sys.executable, "-c", _VICTIM, str(graph), str(cache.root.parent)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= 32:
                break
        victim.send_signal(signal.SIGKILL)
    kept = cache.load(KEY, [row.photo_id for row in ROWS])
    assert len(kept) in (32, 64)
    pixels = Plain()
    np.testing.assert_array_equal(
        embed(ROWS, pixels, opened(graph), key=KEY, cache=cache), _expected(ROWS)
    )
    assert len(pixels.asked) == len(ROWS) - len(kept)
