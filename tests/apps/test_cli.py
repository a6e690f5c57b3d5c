"""The command line, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands import run_doggo
from tests.homes import jpeg

from doggo.apps.drawn import drawn_jpeg, write_drawn
from doggo.core.records import Split
from doggo.storage.buckets import Bucket
from doggo.storage.manifests import load as newest_manifest
from doggo.vision.bundle import bundle_sha256

BREEDS, PICTURES = 5, 14

Finished = tuple[Path, dict[str, Any]]


@pytest.mark.parametrize("group", [(), ("models",), ("data",), ("bot",), ("buckets",), ("import",)])
def test_the_list_of_commands_is_told_in_whole_sentences(
    tmp_path: Path, group: tuple[str, ...]
) -> None:
    done = run_doggo(tmp_path / "home", *group, "--help", COLUMNS="80")
    _, _, commands = done.out.partition("Commands:\n")
    assert commands
    assert not [line for line in commands.splitlines() if line.endswith("...")]


def test_run_goes_the_whole_way(finished_run: Finished) -> None:
    _, said = finished_run
    assert said["intake"]["added"] == BREEDS * PICTURES == said["photos"]
    assert said["change"] is None
    assert said["promoted"] is True
    assert said["version"] == 1
    assert Path(said["evaluation"]["report"]).is_file()
    assert {"intake", "preprocess", "train", "export", "evaluate", "gate"} <= set(said["timings_s"])


@pytest.fixture
def only_test_photos(finished_run: Finished) -> Iterator[list[str]]:
    """Ids of the test side, while the raw bucket of the furnished home holds no other photo."""
    buckets = finished_run[0] / "buckets"
    tested = newest_manifest(Bucket(buckets / "processed")).of(Split.TEST)
    aside = (buckets / "raw").rename(buckets / "aside")
    try:
        for row in tested:
            file = Path(row.raw_uri.removeprefix("file://"))
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(aside / file.relative_to(buckets / "raw"), file)
        yield [row.photo_id for row in tested]
    finally:
        shutil.rmtree(buckets / "raw")
        aside.rename(buckets / "raw")


def test_the_test_side_is_scored_and_nothing_else(
    finished_run: Finished, only_test_photos: list[str], tmp_path: Path
) -> None:
    home, said = finished_run
    wanted = (len(only_test_photos), 0)
    assert 0 < wanted[0] < said["photos"]
    for one in (
        said["evaluation"],
        run_doggo(home, "evaluate", "--out", tmp_path / "report.html", "--json").json(),
    ):
        assert (one["photos"], one["metrics"]["not_scored"]) == wanted
        assert said["manifest_id"] in one["data"]


def test_run_again_makes_nothing_new(home: Path, drawn_folder: Path) -> None:
    done = run_doggo(home, "run", drawn_folder, "--json", PYTHONPROFILEIMPORTTIME="1")
    again = done.json()
    assert not [line for line in done.err.splitlines() if line.endswith(" torch")]
    assert again["intake"]["added"] == 0
    assert again["intake"]["already_present"] == BREEDS * PICTURES
    assert again["already"] is True
    assert len(run_doggo(home, "models", "list", "--json").json()) == 1
    told = run_doggo(home, "run", drawn_folder).out.splitlines()
    assert told == [
        f"nothing new: {BREEDS * PICTURES} photos are here already; "
        f"version 1 ({again['name']}) was made from them and is in production"
    ]


def test_a_repeated_intake_is_one_line_until_something_is_new(tmp_path: Path) -> None:
    folder, home = tmp_path / "photos", tmp_path / "home"
    list(write_drawn(folder, breeds=2, pictures=2))
    (folder / "drawn_rings" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    (folder / "notes.txt").write_text("mine")
    first = run_doggo(home, "intake", folder).out
    assert "torn.jpg" in first
    assert "notes.txt" in first
    assert run_doggo(home, "intake", folder).out == (
        "nothing new: 4 photos are here already, 1 set aside (`doggo quarantine` says why), "
        "1 ignored (--json says why)\n"
    )
    (folder / "drawn_rings" / "new.jpg").write_bytes(b"\xff\xd8\xff torn too")
    assert "new.jpg" in run_doggo(home, "intake", folder).out


def test_a_model_whose_weights_were_damaged_is_made_again(home: Path) -> None:
    [network] = home.rglob("v0001/model.onnx")
    network.chmod(0o600)
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    said = run_doggo(home, "train", "--json").json()
    assert (said["version"], said["promoted"], said["already"]) == (2, True, False)


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
    again = run_doggo(home, "run", more).out
    assert "version 2 (efficientnet_lite0) was already made from these photos" in again
    assert f"it was rolled back by {audit[2]['actor']} at {audit[2]['at']} (asked by hand)" in again
    assert "; version 1 answers: `doggo models promote 2` puts this one back" in again
    assert "  NOT in production" in again


def test_another_set_of_breeds_is_refused_until_it_is_accepted(home: Path, tmp_path: Path) -> None:
    added = tmp_path / "more" / "my_own_breed"
    added.mkdir(parents=True)
    for number in range(PICTURES):
        (added / f"{number}.jpg").write_bytes(drawn_jpeg("my_own_breed", number))
    refused = run_doggo(home, "run", added.parent, "--json")
    assert (refused.code, refused.json()["refused"], refused.json()["promoted"]) == (1, True, False)
    assert refused.line() == "doggo: version 2 was refused: production is what it was"
    assert any("--accept-labels" in line for line in refused.json()["decision"])
    # The photos are taken in; another network that needs larger ones gets them from the bucket.
    words = ("run", added.parent, "--model", "efficientnet_lite1", "--accept-labels", "--json")
    accepted = run_doggo(home, *words)
    said = accepted.json()
    assert (accepted.code, said["version"], said["refused"]) == (0, 3, False), accepted.err
    assert said["promoted"] is True


FEWER_CHECKS = (
    "import doggo.evaluate.kept as k; k.CHECKED = 2; import doggo.__main__ as m; m.main()"
)


def test_another_head_on_the_same_body_does_not_look_at_the_test_photos_again(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FEWER_CHECKS, "train", "--seed", "43", "--no-promote", "--json"],
        env={**os.environ, "DOGGO_HOME": str(home)},
        cwd=home.parent,
        capture_output=True,
        check=True,
        timeout=280,
    )
    report = Path(json.loads(done.stdout)["evaluation"]["report"])
    found = json.loads(report.with_suffix(".json").read_bytes())
    assert found["recalled"] == found["top1"]["n"] - 2 > 0
    # A home that lies elsewhere than when its dataset was made is as good.
    anew = run_doggo(home, "evaluate", 2, "--json").json()
    report = Path(anew["report"])
    whole = json.loads(report.with_suffix(".json").read_bytes())
    assert whole["recalled"] == 0  # who asks for an evaluation gets all of it
    assert (whole["top1"], whole["after"]) == (found["top1"], found["after"])


def test_an_exported_bundle_is_told_as_json(finished_run: Finished, tmp_path: Path) -> None:
    home, folder = finished_run[0], tmp_path / "bundle"
    said = run_doggo(home, "models", "export", folder, "--json").json()
    assert said == {"folder": str(folder), "sha256": bundle_sha256(folder)}
    plain = run_doggo(home, "models", "export", tmp_path / "again")
    assert plain.out == f"{tmp_path / 'again'}\n"


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
    told = {item["path"]: item["detail"] for item in aside if item["reason"] == "conflict"}
    rings, stripes = (f"{folder}/{breed}/same.jpg" for breed in ("drawn_rings", "drawn_stripes"))
    assert told == {
        rings: f"the same picture is filed under Drawn Stripes: {stripes}",
        stripes: f"the same picture is filed under Drawn Rings: {rings}",
    }
    assert told == {item["path"]: item["detail"] for item in said["details"]["conflicts"]}
    shown = run_doggo(home, "quarantine")
    assert "torn.jpg" in shown.out
    assert (shown.out.count(stripes), shown.err.count("--relabel")) == (2, 1)


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


def test_a_path_that_cannot_be_read_takes_no_answer_away(
    finished_run: Finished, tmp_path: Path
) -> None:
    good, missing, empty = tmp_path / "good.jpg", tmp_path / "missing.jpg", tmp_path / "empty"
    good.write_bytes(drawn_jpeg("drawn_rings", 99))
    empty.mkdir()
    home, asked = finished_run[0], (good, missing, empty, good)
    told = run_doggo(home, "predict", *asked)
    assert told.code == 1
    assert told.out.count(f"{good}\n") == 2
    assert told.err.splitlines() == [
        f"doggo: {missing}: no such file or folder",
        f"doggo: {empty}: no files in this folder",
        "doggo: 2 of 4 could not be read as photos",
    ]
    lines = [
        json.loads(line)
        for line in run_doggo(home, "predict", *asked, "--json").out.split("\n")
        if line
    ]
    assert [line.get("reason") for line in lines] == [None, "unreadable", "empty", None]
    assert [line["path"] for line in lines] == [str(path) for path in asked]


def test_a_name_that_is_no_text_is_told_all_the_same(
    finished_run: Finished, tmp_path: Path
) -> None:
    (tmp_path / os.fsdecode(b"h\xfcndin.jpg")).write_bytes(drawn_jpeg("drawn_rings", 99))
    for words in (("predict",), ("predict", "--json")):
        done = run_doggo(finished_run[0], *words, tmp_path, PYTHONIOENCODING="utf-8:strict")
        assert done.code == 0
        assert "h?ndin.jpg" in done.out


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


def test_bootstrap_makes_a_model_that_knows_no_test_photos_breed(home: Path) -> None:
    made = run_doggo(home, "bootstrap", "--no-promote", "--json").json()
    assert (made["version"], made["promoted"], made["evaluation"]) == (2, False, None)
    assert made["untested"].startswith("no test photo is of a breed that it knows, but of Drawn ")


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
    (folder / "komondor").mkdir()
    (folder / "komondor" / "k.jpg").write_bytes(jpeg(1))
    told = run_doggo(home, "evaluate", "--photos", folder, "--out", out).out
    assert "left out: 1 photo of breeds that the model has not (Komondor 1)\n" in told
    assert "left out: 1 photo that could not be read" in told
    assert "  first guess right " in told


def test_evaluate_says_how_many_photos_the_model_learned_from(
    home: Path, drawn_folder: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--photos", drawn_folder, "--out", tmp_path / "report.html")
    said = run_doggo(home, *words, "--json").json()
    splits = newest_manifest(Bucket(home / "buckets" / "processed"))
    sides = {side: len(splits.of(side)) for side in Split}
    wanted = {"trained": sides[Split.TRAIN], "validated": sides[Split.VALIDATION]}
    assert said["learned_from"] == wanted
    known, photos = sum(wanted.values()), BREEDS * PICTURES
    words_for_it = f"{known} of {photos} photos are ones that the model learned from"
    assert words_for_it in said["caveats"][0]
    assert words_for_it in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["predict", "photo.jpg"], 1, "no such file"),
        (["evaluate"], 1, "doggo run"),
        (["train"], 1, "doggo preprocess"),
        (["preprocess"], 1, "doggo intake"),
        (["models", "rollback"], 1, "nothing is in production"),
        (["models", "promote", "7"], 2, "7"),
        (["train", "--model", "no_such_net"], 1, "doggo preprocess"),
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


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["experiment"], 1, "doggo preprocess"),
        (["experiment", "--lr", "-1"], 2, "--lr must be above 0"),
        (["experiment", "--recipe", "magic"], 2, "use probe or finetune"),
        (["experiment", "--optimizer", "magic"], 2, "use sgd or adamw"),
        (["experiment", "--grid", "lr=1e-4,1e-3"], 1, "doggo preprocess"),
        (["experiment", "--grid", "lr=1e-3,-1"], 2, "--grid lr=-1.0: --lr must be above 0"),
        (["train"], 1, "doggo preprocess"),
        (["run", ".", "--seed", "-1"], 2, "--seed must be from 0"),
    ],
)
def test_what_is_wrong_is_said_before_torch_is_loaded(
    tmp_path: Path, words: list[str], code: int, hint: str
) -> None:
    done = run_doggo(tmp_path / "home", *words, PYTHONPROFILEIMPORTTIME="1")
    assert (done.code, done.out) == (code, "")
    assert hint in done.line()
    assert not [line for line in done.err.splitlines() if line.endswith((" torch", " timm"))]


def test_run_takes_no_photos_in_for_a_model_that_is_none(
    tmp_path: Path, drawn_folder: Path
) -> None:
    done = run_doggo(tmp_path / "home", "run", drawn_folder, "--model", "no_such_net")
    assert (done.code, done.out, done.err.splitlines()) == (2, "", [done.line()])
    assert "unknown model 'no_such_net'" in done.line()
    assert not list((tmp_path / "home" / "buckets").rglob("*.jpg"))


@pytest.mark.parametrize(
    ("model", "code", "hint"),
    [("no_such_net", 2, "no_such_net"), ("resnet", 1, "the weights of resnet are not on this")],
)
def test_a_model_that_cannot_be_had_is_said_in_one_line(
    home: Path, model: str, code: int, hint: str
) -> None:
    empty = {"HF_HOME": str(home / "hub"), "HF_HUB_OFFLINE": "1", "DOGGO_WEIGHTS": ""}
    done = run_doggo(home, "train", "--model", model, **empty)
    assert (done.code, done.out) == (code, "")
    assert hint in done.line()
    assert len(run_doggo(home, "models", "list", "--json").json()) == 1
    assert not list((home / "work").iterdir())


def test_a_bucket_that_is_a_file_is_said_in_one_line(tmp_path: Path, drawn_folder: Path) -> None:
    bucket = tmp_path / "bucket"
    bucket.write_text("in the way")
    done = run_doggo(tmp_path / "home", "intake", drawn_folder, DOGGO_RAW_BUCKET=bucket.as_uri())
    assert (done.code, done.out) == (1, "")
    assert f"{bucket}: a file is where a folder should be" in done.line()
    assert bucket.read_text() == "in the way"


def test_a_bucket_whose_photos_are_gone_is_said_in_one_line(home: Path) -> None:
    shutil.rmtree(home / "buckets" / "raw")
    done = run_doggo(home, "preprocess", "--short-side", 128)
    assert (done.code, done.out) == (1, "")
    assert "not readable in the raw bucket" in done.line()
    assert run_doggo(home, "quarantine", "--json").json() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--n-labels", "3"], "No such option: --n-labels"),
        (["frobnicate"], "No such command 'frobnicate'; `doggo --help` says more"),
        (["--x"], "No such option: --x; `doggo --help` says more"),
        (["serve", "--x"], "No such option: --x; `doggo serve --help` says more"),
        (["models", "promote", "abc"], "it must be a valid integer; `doggo models promote --help`"),
        (["models", "promote"], "Missing argument 'version'; `doggo models promote --help`"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_two(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = run_doggo(tmp_path / "home", *words)
    assert (done.code, done.out, done.other_lines()) == (2, "", [done.line()])
    assert said in done.line()


def test_a_group_without_a_command_shows_its_help(tmp_path: Path) -> None:
    done = run_doggo(tmp_path / "home", "models")
    assert done.code == 2
    assert "promote" in done.out + done.err


def test_no_model_says_how_to_get_one(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(drawn_jpeg("drawn_rings", 1))
    done = run_doggo(tmp_path / "home", "predict", photo)
    assert done.code == 1
    assert "doggo bootstrap" in done.line()


@pytest.mark.parametrize(
    ("breed", "data", "said"),
    [
        ("", drawn_jpeg("drawn_rings", 1), "3 no_label): name a folder after each breed"),
        ("pug", drawn_jpeg("drawn_rings", 1)[:500], "3 truncated): `doggo quarantine` lists"),
        ("pug", jpeg(1, size_px=(80, 50)), "3 too_small): `doggo quarantine` lists"),
    ],
    ids=["unlabelled", "broken", "too small"],
)
def test_photos_that_cannot_be_used_are_counted_by_reason(
    tmp_path: Path, breed: str, data: bytes, said: str
) -> None:
    folder, home = tmp_path / "photos", tmp_path / "home"
    (folder / breed).mkdir(parents=True)
    for number in range(3):
        (folder / breed / f"{number}.jpg").write_bytes(data + bytes(number))
    done = run_doggo(home, "run", folder)
    assert (done.code, done.out) == (1, "")
    assert f"none of the 3 files can be used ({said}" in done.line()
    assert len(run_doggo(home, "quarantine", "--json").json()) == 3
    assert run_doggo(home, "models", "list", "--json").json() == []


def test_a_folder_without_a_picture_is_said_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.txt").write_text("no picture")
    done = run_doggo(tmp_path / "home", "run", folder)
    assert (done.code, done.out) == (1, "")
    assert done.line() == f"doggo: there is no picture in {folder}: it has 1 other file (a.txt)"


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
    assert (done.code, done.out) == (1, "")
    assert "photo" in done.line()
    assert run_doggo(tmp_path / "home", "models", "list", "--json").json() == []
    assert not list((tmp_path / "home").rglob(".tmp*"))
    assert not list((tmp_path / "home" / "work").iterdir())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DOGGO_QUEUE_SIZE", "many", "it must be a valid integer"),
        ("DOGGO_WORKERS", "-1", "it must be greater than or equal to 0"),
        ("DOGGO_PERSON_KEY", "xyz", "it must be 64 hex digits, as `openssl rand"),
    ],
)
def test_a_broken_setting_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    done = run_doggo(tmp_path / "home", "models", "list", **{name: value})
    assert (done.code, done.other_lines()) == (2, [done.line()])
    assert done.line().startswith(f"doggo: setting {name}: {said}")
    examined = run_doggo(tmp_path / "home", "doctor", "--json", **{name: value})
    [finding] = examined.json()["findings"]
    assert (examined.code, finding["check"], finding["level"]) == (1, "settings", "FAIL")
    assert said in finding["detail"]


def test_a_file_of_settings_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes("DOGGO_RUNTIME=café".encode("latin-1"))
    done = run_doggo(tmp_path / "home", "models", "list")
    assert (done.code, done.out, done.other_lines()) == (2, "", [done.line()])
    assert f"{file} is not in UTF-8" in done.line()
    examined = run_doggo(tmp_path / "home", "doctor")
    assert (examined.code, examined.err) == (1, "")
    assert f"{file} is not in UTF-8" in examined.out
