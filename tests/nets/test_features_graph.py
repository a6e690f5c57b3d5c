"""The graph of a frozen body: one file, made once, whole or not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from doggo.core.errors import StorageError
from doggo.nets.features_graph import features_graph
from doggo.nets.network import make_network


def test_a_full_disk_leaves_no_graph_and_with_room_it_is_made_once(
    tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    network, sha256 = make_network("resnet18", ("beagle", "pug"), pretrained=False)
    disk = small_disk("1m")
    with pytest.raises(StorageError, match="disk is full"):
        features_graph(disk, network.features, "resnet18", sha256)
    assert list(disk.iterdir()) == []
    made = features_graph(tmp_path / "graphs", network.features, "resnet18", sha256)
    before = made.stat()
    assert features_graph(tmp_path / "graphs", network.features, "resnet18", sha256) == made
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    assert list(made.parent.iterdir()) == [made]
