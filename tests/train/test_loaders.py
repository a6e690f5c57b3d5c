"""Batches of photos: each once an epoch, in an order that nothing but the seed decides."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.homes import Home, drawn_folder
from tests.train.datasets import Drawn, manifest

from doggo.core.records import Split
from doggo.storage.shards import PixelReader
from doggo.train.loaders import InOrder, Photos, Share, Shuffled, gather, in_batches
from doggo.vision.photo import canonical
from doggo.vision.view import View

VIEW = View(size_px=224, resize_px=256)


def _epochs(n: int, size: int, of: int, epoch: int, seed: int = 1) -> list[list[list[int]]]:
    shares = []
    for rank in range(of):
        batches = Shuffled(n, size, seed, Share(rank=rank, of=of))
        batches.set_epoch(epoch)
        shares.append([[index for _, index in batch] for batch in batches])
    return shares


@given(
    n=st.integers(1, 100), size=st.integers(4, 40), of=st.integers(1, 4), epoch=st.integers(0, 3)
)
def test_processes_share_each_batch_and_none_waits_for_another(
    n: int, size: int, of: int, epoch: int
) -> None:
    shares = _epochs(n, size, of, epoch)
    assert len({len(batches) for batches in shares}) == 1
    assert all(batch for batches in shares for batch in batches)
    together = [sorted(chain(*parts)) for parts in zip(*shares, strict=True)]
    alone = [sorted(batch) for batch in _epochs(n, size, 1, epoch)[0]]
    assert together == alone[: len(together)]
    seen = [index for batch in together for index in batch]
    assert len(set(seen)) == len(seen) >= n - of + 1


def test_every_epoch_and_seed_has_its_own_order() -> None:
    orders = [_epochs(50, 50, 1, epoch, seed)[0][0] for epoch, seed in ((0, 1), (1, 1), (0, 2))]
    assert orders[0] == _epochs(50, 50, 1, 0, 1)[0][0]
    assert len({tuple(order) for order in orders}) == 3


@given(n=st.integers(1, 60), size=st.integers(1, 20), of=st.integers(1, 5))
def test_answers_of_several_processes_come_back_in_order(n: int, size: int, of: int) -> None:
    shares = [InOrder(range(n), size, Share(rank=rank, of=of)) for rank in range(of)]
    places = [[index for batch in share for _, index in batch] for share in shares]
    parts = [np.array(mine, np.float32).reshape(-1, 1) for mine in places]
    assert gather(parts, n)[:, 0].tolist() == list(range(n))


def test_a_transformed_photo_depends_on_seed_epoch_and_place_alone() -> None:
    rows = manifest("ab", train=3, validation=1).of(Split.TRAIN)
    labels_N = np.zeros(len(rows), np.int64)

    def photo(epoch: int, index: int, seed: int = 1) -> bytes:
        photos = Photos(rows, labels_N, Drawn(), VIEW, seed=seed, probability=0.9)
        return photos[epoch, index][0].numpy().tobytes()

    assert photo(0, 1) == photo(0, 1)
    assert len({photo(0, 1), photo(1, 1), photo(0, 2), photo(0, 1, seed=2)}) == 4


def same_with_loading_processes() -> bool:
    """Whether two loading processes give the batches that none gives."""
    rows = manifest("ab", train=4, validation=1).of(Split.TRAIN)
    photos = Photos(rows, np.arange(8), Drawn(), VIEW, seed=1, probability=0.9)
    alone, helped = (
        [(inputs.numpy().tobytes(), labels.tolist()) for inputs, labels in batches]
        for batches in (
            in_batches(photos, Shuffled(8, 4, 1, Share()), workers=workers) for workers in (0, 2)
        )
    )
    return alone == helped


def test_loading_processes_change_nothing() -> None:
    # In a process of its own: torch's loaders leave a handler of SIGCHLD behind.
    code = "from tests.train.test_loaders import same_with_loading_processes as same; assert same()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home.open(tmp_path_factory.mktemp("home"))
    home.take_in(drawn_folder(home.root / "photos", breeds=2, photos=6))
    return home


def test_golden_validation_sees_the_very_tensor_that_serves(home: Home) -> None:
    prepared = home.prepare()
    view = View(size_px=96, resize_px=110, short_side_px=prepared.short_side_px)
    photos = Photos(
        prepared.rows, np.zeros(len(prepared.rows), np.int64), PixelReader(home.processed), view
    )
    for n, row in enumerate(prepared.rows):
        data = home.raw.read(row.raw_uri.removeprefix(home.raw.url).lstrip("/"))
        served = view.crop(canonical(data, prepared.short_side_px))
        assert np.array_equal(photos[0, n][0].numpy(), served)


def test_pictures_of_a_batch_fit_on_one_sheet(tmp_path: Path) -> None:
    from doggo.train.charts import draw_batch

    images = np.random.default_rng(0).integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)
    with Image.open(draw_batch(images, tmp_path / "batch.png")) as sheet:
        pixels = np.array(sheet)
    assert pixels.shape == (64, 256, 3)
    assert np.array_equal(pixels[32:64, 64:96], images[10])
