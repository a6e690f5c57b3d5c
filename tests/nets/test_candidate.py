"""A candidate's folder: what is saved comes back, and what is altered is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from doggo.core.errors import BundleError, StorageError
from doggo.nets.candidate import CandidateInfo, load_candidate, save_candidate
from doggo.nets.network import DogNet, make_network
from doggo.vision.view import View


def _candidate() -> tuple[CandidateInfo, DogNet]:
    network, sha256 = make_network("resnet18", ("beagle", "labradoodle"), pretrained=False)
    info = CandidateInfo(
        backbone="resnet18",
        labels=("beagle", "labradoodle"),
        view=View(size_px=224, resize_px=236),
        recipe="probe",
        config={"lr": "0.0001"},
        manifest_id="0123456789abcdef",
        run_id=None,
        weights_sha256=sha256,
        seed=42,
        git_revision="unknown",
    )
    return info, network


def test_a_candidate_comes_back_as_it_was(tmp_path: Path) -> None:
    info, network = _candidate()
    loaded_info, loaded = load_candidate(save_candidate(tmp_path / "c", info, network))
    assert loaded_info == info
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for key, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)
    assert not loaded.training


def test_an_altered_network_is_refused(tmp_path: Path) -> None:
    info, network = _candidate()
    folder = save_candidate(tmp_path, info, network)
    weights = folder / "network.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(BundleError, match="was altered"):
        load_candidate(folder)


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    info, network = _candidate()
    folder = save_candidate(tmp_path, replace(info, labels=("a", "b", "c")), network)
    with pytest.raises(BundleError, match="does not fit a resnet18 network"):
        load_candidate(folder)


def test_a_folder_without_a_candidate_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no candidate"):
        load_candidate(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"labels": 3}', '{"network_sha256": "x"}'])
def test_a_description_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "candidate.json").write_text(text)
    with pytest.raises(BundleError, match="is not a candidate's description"):
        load_candidate(tmp_path)


def test_a_full_disk_is_one_line_and_leaves_no_candidate(
    small_disk: Callable[[str], Path],
) -> None:
    disk = small_disk("1m")
    with pytest.raises(StorageError, match="disk is full"):
        save_candidate(disk / "c", *_candidate())
    assert list((disk / "c").iterdir()) == []


def test_the_description_is_plain_json_of_every_field(tmp_path: Path) -> None:
    info, network = _candidate()
    values = json.loads((save_candidate(tmp_path, info, network) / "candidate.json").read_text())
    assert values["view"]["size_px"] == 224
    assert values["labels"] == ["beagle", "labradoodle"]
    assert len(values["network_sha256"]) == 64
