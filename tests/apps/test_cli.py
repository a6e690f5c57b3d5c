"""The command line, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.commands import run_doggo

from doggo.apps.drawn import drawn_jpeg, write_drawn

BREEDS, PICTURES = 5, 14

Finished = tuple[Path, dict[str, Any]]


def test_run_goes_the_whole_way(finished_run: Finished) -> None:
    _, said = finished_run
    assert said["intake"]["added"] == BREEDS * PICTURES == said["photos"]
    assert said["change"] is None
    assert said["promoted"] is True
    assert said["version"] == 1
    assert Path(said["evaluation"]["report"]).is_file()
    assert {"intake", "preprocess", "train", "export", "evaluate", "gate"} <= set(said["timings_s"])


def test_run_again_makes_nothing_new(home: Path, drawn_folder: Path) -> None:
    done = run_doggo(home, "run", drawn_folder, "--json", PYTHONPROFILEIMPORTTIME="1")
    again = done.json()
    assert not [line for line in done.err.splitlines() if line.endswith(" torch")]
    assert again["intake"]["added"] == 0
    assert again["intake"]["already_present"] == BREEDS * PICTURES
    assert again["already"] is True
    assert len(run_doggo(home, "models", "list", "--json").json()) == 1


def test_more_photos_make_a_second_version_that_can_be_rolled_back(
    home: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    for number in range(PICTURES, PICTURES + 4):
        file = more / "drawn_rings" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(drawn_jpeg("drawn_rings", number))
    said = run_doggo(home, "run", more, "--json").json()
    assert said["intake"]["added"] == 4
    [change] = said["change"]["breeds"]
    assert (change["breed"], change["added"]) == ("drawn_rings", 4)
    assert said["version"] == 2
    if not said["promoted"]:  # so few photos: the gate may be unsure
        forced = run_doggo(home, "models", "promote", 2, "--force", "to roll back", "--json").json()
        assert forced["moved"] is True
        assert forced["forced"] is True
    back = run_doggo(home, "models", "rollback", "--json").json()
    assert (back["from_version"], back["to_version"]) == (2, 1)
    audit = run_doggo(home, "models", "audit", "--json").json()
    assert [move["to_version"] for move in audit] == [1, 2, 1]


def test_what_was_set_aside_is_listed_with_its_reason(tmp_path: Path) -> None:
    folder, home = tmp_path / "photos", tmp_path / "home"
    list(write_drawn(folder, breeds=2, pictures=2))
    (folder / "drawn_rings" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    same = drawn_jpeg("drawn_rings", 50)
    for breed in ("drawn_rings", "drawn_stripes"):
        (folder / breed / "same.jpg").write_bytes(same)
    said = run_doggo(home, "intake", folder, "--json").json()
    assert (said["conflicts"], said["quarantined"]) == (2, 1)
    aside = run_doggo(home, "quarantine", "--json").json()
    assert sorted(item["reason"] for item in aside) == ["conflict", "conflict", "truncated"]
    shown = run_doggo(home, "quarantine").out
    assert "torn.jpg" in shown


def test_predict_prints_one_json_line_a_photo(finished_run: Finished, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(drawn_jpeg("drawn_rings", 99))
    bad.write_bytes(b"no picture")
    done = run_doggo(finished_run[0], "predict", good, bad, "--json")
    assert done.code == 1
    answer, failure = (json.loads(line) for line in done.out.splitlines())
    assert answer["path"] == str(good)
    assert set(answer) >= {"prediction_id", "model", "verdict", "breeds", "latency_ms"}
    assert len(answer["breeds"]) == 3
    probabilities = [item["probability"] for item in answer["breeds"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert failure["path"] == str(bad)
    assert failure["reason"] == "not_a_picture"


def test_every_hostile_picture_gets_an_answer_or_a_reason(
    finished_run: Finished, hostile_images: Path
) -> None:
    import csv

    with (hostile_images / "INDEX.csv").open() as file:
        expected = {row["file"]: row["ref_class"] for row in csv.DictReader(file)}
    done = run_doggo(finished_run[0], "predict", hostile_images, "--json")
    assert "Traceback" not in done.err
    answers = {
        str(Path(line["path"]).relative_to(hostile_images)): line
        for line in map(json.loads, done.out.splitlines())
    }
    for name, wanted in expected.items():
        if wanted == "must_accept":
            assert "verdict" in answers[name], (name, answers[name])
        elif wanted == "must_reject":
            assert "error" in answers[name], (name, answers[name])
        else:
            assert ("verdict" in answers[name]) != ("error" in answers[name])


def test_experiment_never_registers(home: Path) -> None:
    said = run_doggo(home, "experiment", "--n-labels", 3, "--n-samples", 10, "--json").json()
    assert len(said["labels"]) == 3
    assert len(run_doggo(home, "models", "list", "--json").json()) == 1


def test_evaluate_scores_any_labelled_folder(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    list(write_drawn(folder, breeds=3, pictures=2))
    (folder / "drawn_rings" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    out = tmp_path / "report.html"
    said = run_doggo(home, "evaluate", "--photos", folder, "--out", out, "--json").json()
    assert said["metrics"]["photos"] == 6
    assert said["metrics"]["not_scored"] == 1
    assert out.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["predict", "photo.jpg"], 1, "no such file"),
        (["evaluate"], 1, "doggo run"),
        (["train"], 1, "doggo preprocess"),
        (["preprocess"], 1, "doggo intake"),
        (["models", "rollback"], 1, "nothing is in production"),
        (["models", "promote", "7"], 2, "7"),
        (["train", "--model", "no_such_net"], 1, ""),
        (["train", "--recipe", "magic"], 2, "magic"),
        (["train", "--input-size", "300"], 2, "input-size"),
        (["evaluate", "--labels", "x.csv"], 2, "--photos"),
        (["preprocess", "--full-dataset", "--max-data", "5"], 2, "--max-data"),
    ],
)
def test_failures_are_one_clear_line(
    tmp_path: Path, words: list[str], code: int, hint: str
) -> None:
    done = run_doggo(tmp_path / "empty-home", *words)
    assert (done.code, done.out) == (code, "")
    assert hint in done.line()


@pytest.mark.parametrize("words", [["train", "--n-labels", "3"], ["frobnicate"], ["serve", "--x"]])
def test_wrong_usage_exits_with_two(tmp_path: Path, words: list[str]) -> None:
    done = run_doggo(tmp_path / "home", *words)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_no_model_says_how_to_get_one(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(drawn_jpeg("drawn_rings", 1))
    done = run_doggo(tmp_path / "home", "predict", photo)
    assert done.code == 1
    assert "doggo bootstrap" in done.line()


@pytest.mark.parametrize("breeds", [0, 1])
def test_too_little_to_learn_from_is_said_in_one_line(tmp_path: Path, breeds: int) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    list(write_drawn(folder, breeds=breeds, pictures=6))
    done = run_doggo(tmp_path / "home", "run", folder)
    assert done.code == 1
    assert done.line()
    assert run_doggo(tmp_path / "home", "models", "list", "--json").json() == []


def test_one_photo_a_breed_is_said_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    list(write_drawn(folder, breeds=4, pictures=1))
    done = run_doggo(tmp_path / "home", "run", folder)
    assert done.code == 1
    assert "photo" in done.line()


def test_a_broken_setting_is_named(tmp_path: Path) -> None:
    done = run_doggo(tmp_path / "home", "models", "list", DOGGO_QUEUE_SIZE="many")
    assert done.code == 2
    assert "QUEUE_SIZE" in done.line()


def test_ctrl_c_leaves_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, home = tmp_path / "photos", tmp_path / "home"
    list(write_drawn(folder, breeds=8, pictures=40))
    process = subprocess.Popen(
        [sys.executable, "-m", "doggo", "intake", str(folder)],
        env={**os.environ, "DOGGO_HOME": str(home)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests in the background may have had SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    while not (home / "photos.db").exists() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the workers get it too
    _, said = process.communicate(timeout=60)
    if process.returncode != 0:  # else it was faster than us
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert [line for line in said.splitlines() if "stopped" in line]
    done = run_doggo(home, "intake", folder, "--json").json()
    assert done["added"] + done["already_present"] == 320
