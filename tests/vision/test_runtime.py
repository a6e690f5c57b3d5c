"""Runtimes: that an answer depends on its photo alone, whoever else asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests import tiny_bundle

from doggo.core.errors import BundleError, UsageError
from doggo.vision import pairs
from doggo.vision.pairs import (
    REFERENCE,
    Pair,
    usable_pairs,
)
from doggo.vision.runtime import OpenNetworks, open_session

FAST = Pair("openvino", "bf16")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    onnx.save(tiny_bundle.colour_network(5), path)
    return path


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real network's graph with random weights: no weights package is needed."""
    from doggo.export.formats import write_onnx
    from doggo.nets.network import make_network

    path = tmp_path_factory.mktemp("lite0") / "model.onnx"
    labels = tuple(f"breed_{k}" for k in range(120))
    network, _ = make_network("efficientnet_lite0", labels, pretrained=False)
    write_onnx(network, 224, path)
    return path


def photos(paths: list[Path]) -> np.ndarray:
    from doggo.vision.photo import canonical
    from doggo.vision.view import View

    view = View(size_px=224, resize_px=256)
    return np.stack([view.crop(canonical(path.read_bytes())) for path in paths])


@pytest.mark.parametrize("pair", usable_pairs(), ids=lambda pair: pair.name)
def test_an_answer_does_not_depend_on_the_batch_its_place_or_the_threads(
    pair: Pair, lite0: Path, foolbox_photos: list[Path]
) -> None:
    images_NHWC = photos(foolbox_photos[:7])
    one_thread, three = open_session(lite0, pair, 1), open_session(lite0, pair, 3)
    alone = np.concatenate([one_thread.run(image[None])["logits"] for image in images_NHWC])
    assert len(np.unique(alone, axis=0)) == 7  # the photos do get different answers
    for session in (one_thread, three):
        assert np.array_equal(session.run(images_NHWC)["logits"], alone)
        assert np.array_equal(session.run(images_NHWC[::-1])["logits"], alone[::-1])
        assert np.array_equal(session.run(images_NHWC[2:5])["logits"], alone[2:5])
        assert np.array_equal(session.run_here(images_NHWC)["logits"], alone)
        assert np.array_equal(session.run_here(images_NHWC[1:])["logits"], alone[1:])


@pytest.mark.parametrize("pair", usable_pairs(), ids=lambda pair: pair.name)
def test_many_threads_may_share_a_session(pair: Pair, network: Path) -> None:
    session = open_session(network, pair, 2)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (n % 4 + 1, 32, 32, 3), dtype=np.uint8) for n in range(40)]
    expected = [session.run(batch)["logits"] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: session.run(batch)["logits"], batches))
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("pair", usable_pairs(), ids=lambda pair: pair.name)
def test_outputs_have_names_and_an_empty_batch_gives_empty_ones(pair: Pair, network: Path) -> None:
    outputs = open_session(network, pair).run(np.zeros((0, 32, 32, 3), np.uint8))
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (0, 5),
        "dog_mass": (0,),
        "known_share": (0,),
    }


@pytest.mark.parametrize("pair", usable_pairs(), ids=lambda pair: pair.name)
def test_a_file_that_is_no_network_is_one_clear_line(pair: Pair, tmp_path: Path) -> None:
    bad = tmp_path / "model.onnx"
    bad.write_bytes(b"\x08\x01 this is no network")
    with pytest.raises(BundleError, match="export the model again"):
        open_session(bad, pair)


def test_the_batch_axis_may_have_any_name(tmp_path: Path) -> None:
    model = tiny_bundle.colour_network(3)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx", REFERENCE)
    assert session.run(np.zeros((3, 32, 32, 3), np.uint8))["logits"].shape == (3, 3)


def test_a_pair_that_this_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, network: Path
) -> None:
    monkeypatch.setattr(pairs, "_has_bf16", lambda: False)
    with pytest.raises(UsageError, match="cannot run openvino-bf16 here"):
        open_session(network, FAST)


def test_the_same_network_is_opened_once(network: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    copy.write_bytes(network.read_bytes())
    onnx.save(tiny_bundle.colour_network(5, turn=1), other)
    networks = OpenNetworks()
    session = networks(network, REFERENCE)
    assert networks(copy, REFERENCE) is networks(copy.read_bytes(), REFERENCE) is session
    assert networks(network, REFERENCE, 1) is not session
    assert networks(other, REFERENCE) is not session
    images_NHWC = np.full((3, 32, 32, 3), 200, np.uint8)
    for name, found in open_session(network, REFERENCE).run(images_NHWC).items():
        np.testing.assert_array_equal(session.run(images_NHWC)[name], found)
