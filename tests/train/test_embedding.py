"""Embedding before training: training finds it, and export finds the reference's part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.train.datasets import Drawn, manifest

from doggo.core.records import Split
from doggo.tracking.null import NullTracker
from doggo.train.config import TrainConfig
from doggo.train.embedding import embed_dataset, open_early, reference_parts
from doggo.train.run import train
from doggo.vision.pairs import Pair
from doggo.vision.runtime import Network, OpenNetworks, Session

DATA = manifest(("beagle", "pug", "waves"), train=4, validation=3, test=2)
CPU = "onnxruntime-f32"
CONFIG = TrainConfig(max_epochs=1)


def ids(*sides: Split) -> set[str]:
    return {row.photo_id for side in sides for row in DATA.of(side)}


def test_training_computes_nothing_again_and_tells_how_long_it_took(tmp_path: Path) -> None:
    drawn, again, tracker = Drawn(), Drawn(), NullTracker()
    embed_dataset(CONFIG, DATA, pixels=drawn, cache=tmp_path / "cache", runtime=CPU)
    assert set(drawn.asked) == ids(Split.TRAIN, Split.VALIDATION)
    train(
        CONFIG, DATA, pixels=again, cache=tmp_path / "cache", tracker=tracker,
        work=tmp_path / "work", runtime=CPU, embed_s=1000.0,
    )  # fmt: skip
    assert again.asked == []
    (run,) = tracker.runs
    told = {metric.name: metric.value for metric in run.metrics}
    assert 1000 < told["seconds_embed"] < 1100


def test_the_reference_gets_the_first_half_of_validation_photos_and_each_once(
    tmp_path: Path,
) -> None:
    drawn, again = Drawn(), Drawn()
    body = embed_dataset(CONFIG, DATA, pixels=Drawn(), cache=tmp_path / "c", runtime="openvino-f32")
    for pixels in (drawn, again):
        list(reference_parts(replace(body, pixels=pixels)))
    assert drawn.asked == sorted(ids(Split.VALIDATION))[:5]
    assert again.asked == []


def test_what_was_opened_early_is_not_opened_again(tmp_path: Path) -> None:
    opened: list[Network] = []

    class Counted(OpenNetworks):
        def __call__(self, network: Network, pair: Pair, threads: int = 0) -> Session:
            opened.append(network)
            return super().__call__(network, pair, threads)

    networks, cache = Counted(), tmp_path / "cache"
    open_early(CONFIG, cache=cache, runtime=CPU, open_network=networks)
    (graph,) = (cache / "graphs").iterdir()
    embed_dataset(
        CONFIG, DATA, pixels=Drawn(), cache=cache, runtime=CPU, open_network=networks
    )  # fmt: skip
    assert opened == [graph, graph]
    assert len(networks) == 1
