"""What MLflow keeps of a real `doggo run`, read with MLflow's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.registry.pages import Pages

from doggo.train.config import TrainConfig
from doggo.train.provenance import git_revision

Finished = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def client(finished_run: Finished) -> Any:
    return Pages(finished_run[0]).client


@pytest.fixture(scope="module")
def kept(client: Any) -> Any:
    """The one run of the experiment `training`."""
    experiment = client.get_experiment_by_name("training")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_the_run_keeps_its_options_and_where_it_comes_from(
    finished_run: Finished, kept: Any
) -> None:
    said = finished_run[1]
    assert kept.info.status == "FINISHED"
    resolved = TrainConfig().resolved().words()
    assert kept.data.params == {**resolved, "manifest_id": said["manifest_id"]}
    assert kept.data.tags["manifest_id"] == said["manifest_id"]
    assert kept.data.tags["git_revision"] == git_revision()


def test_the_run_keeps_its_curve_by_epoch(client: Any, kept: Any) -> None:
    for name in ("train_loss", "val_loss", "val_top1", "val_macro_auroc"):
        history = client.get_metric_history(kept.info.run_id, name)
        steps = sorted(metric.step for metric in history)
        assert steps == list(range(len(steps))), name
        assert len(steps) > 1, name
    assert 0 <= kept.data.metrics["best_val_top1"] <= 1


def test_the_run_keeps_the_seconds_of_its_steps(kept: Any) -> None:
    seconds = {n: s for n, s in kept.data.metrics.items() if n.startswith("seconds_")}
    assert {"seconds_load", "seconds_embed", "seconds_train", "seconds_report"} <= set(seconds)
    assert all(value >= 0 for value in seconds.values())


def test_the_run_keeps_the_best_and_the_last_breed_head(client: Any, kept: Any) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        file = Path(client.download_artifacts(kept.info.run_id, f"checkpoints/{name}"))
        head = torch.load(file, weights_only=True)["state_dict"]
        assert len(head["head.weight"]) == len(head["head.bias"]) > 1
        assert file.stat().st_size < 2_000_000


def test_the_run_keeps_the_pictures_of_its_curve_and_confusions(client: Any, kept: Any) -> None:
    for name in ("curve.png", "confusion.png"):
        file = client.download_artifacts(kept.info.run_id, f"charts/{name}")
        with Image.open(file) as picture:
            assert min(picture.size) > 300


def test_the_version_in_the_registry_leads_to_its_run(
    finished_run: Finished, client: Any, kept: Any
) -> None:
    home, said = finished_run
    (version,) = client.search_model_versions(f"name = '{said['name']}'")
    assert version.run_id == kept.info.run_id
    assert Pages(home).aliases(said["name"]) == {"production": 1}
