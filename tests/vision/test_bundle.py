"""A sealed bundle reads back as it was, and no change to it goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import tiny_bundle

from doggo.core.errors import BundleError
from doggo.vision.bundle import (
    BUNDLE_FILE,
    FILES,
    ValidationAnswer,
    bundle_sha256,
    bundle_version,
    parse_bundle,
    read_bundle,
    read_validation,
    seal,
)
from doggo.vision.pairs import PAIRS, Trial


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.make_bundle(tmp_path / "bundle", validation={"p1": "pug"})


def test_a_sealed_bundle_reads_back_as_it_was(tmp_path: Path) -> None:
    trials = tuple(
        Trial(pair=pair, top1_difference=-0.001, low=-0.009, high=0.0, ms_per_photo=3, photos=500)
        for pair in PAIRS
    )
    folder = tiny_bundle.make_bundle(
        tmp_path / "bundle", trials=trials, manifest_id="m", run_id="r"
    )
    bundle = read_bundle(folder)
    expected = tiny_bundle.record(
        trials=trials, manifest_id="m", run_id="r", files=dict(bundle.files)
    )
    assert bundle == expected
    assert set(bundle.files) == set(FILES)


def test_the_identity_is_the_hash_of_the_sealed_file_and_the_same_twice(tmp_path: Path) -> None:
    one, two = (tiny_bundle.make_bundle(tmp_path / name) for name in "ab")
    assert bundle_sha256(one) == bundle_sha256(two)
    assert bundle_sha256(one) == hashlib.sha256((one / BUNDLE_FILE).read_bytes()).hexdigest()


def test_sealing_returns_the_identity(folder: Path) -> None:
    assert seal(folder, tiny_bundle.record()) == bundle_sha256(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_bit_in_any_file_is_seen(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        read_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_bundle_without_all_its_files_is_not_sealed(folder: Path, name: str) -> None:
    (folder / BUNDLE_FILE).unlink()
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        seal(folder, tiny_bundle.record())
    assert not (folder / BUNDLE_FILE).exists()


def test_another_sealed_bundle_than_the_promised_one_is_refused(folder: Path) -> None:
    assert read_bundle(folder, expect_sha256=bundle_sha256(folder))
    with pytest.raises(BundleError, match="not the one that was registered"):
        read_bundle(folder, expect_sha256="0" * 64)


def _set(path: str, value: object) -> Callable[[dict], None]:
    def change(values: dict) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            values = values[parent]
        values[last] = value

    return change


CHANGES = {
    "a label more": lambda values: values["labels"].append("wolf"),
    "a label less": lambda values: values["labels"].pop(),
    "a doubled label": lambda values: values["labels"].append(values["labels"][0]),
    "labels in another order": lambda values: values["labels"].reverse(),
    "no labels": _set("labels", []),
    "a label that is a number": _set("labels", ["a", 1]),
    "an unknown field": _set("password", "x"),
    "a missing field": lambda values: values.pop("temperature"),
    "another format": _set("format", 3),
    "a boolean format": _set("format", True),
    "a temperature of 0": _set("temperature", 0),
    "a temperature as text": _set("temperature", "1"),
    "a temperature that is not a number": _set("temperature", float("nan")),
    "a temperature of 400 digits": _set("temperature", 10**400),
    "a threshold above 1": _set("thresholds.dog_mass", 1.5),
    "a threshold that its format has not": _set("format", 1),
    "a missing known share": lambda values: values["thresholds"].pop("known_share"),
    "a missing threshold": lambda values: values["thresholds"].pop("dog_mass"),
    "a view that cannot be": _set("view.resize_px", 9999),
    "a view without a mode": lambda values: values["view"].pop("mode"),
    "a file outside": _set("files", {"../../etc/passwd": "0" * 64}),
    "a file less": lambda values: values["files"].pop("model.ts"),
    "a trial on an unknown runtime": _set("trials", [{"pair": "tpu-int4"}]),
    "trials that are no list": _set("trials", {}),
    "parity without photos": lambda values: values["parity"].pop("photos"),
    "a config that is no text": _set("config", {"lr": 1}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_description_that_was_changed_is_refused_in_one_line(
    folder: Path, change: Callable[[dict], None]
) -> None:
    path = folder / BUNDLE_FILE
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_description_that_is_no_json_object_is_refused(folder: Path, data: bytes) -> None:
    (folder / BUNDLE_FILE).write_bytes(data)
    with pytest.raises(BundleError):
        read_bundle(folder)


def test_an_empty_or_absent_folder_is_no_bundle(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BundleError, match="is not a bundle"):
            read_bundle(folder)


def test_the_description_alone_can_be_read_without_the_large_files(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    assert parse_bundle(folder).labels == tiny_bundle.LABELS


def test_validation_answers_read_back(folder: Path) -> None:
    validation = read_validation(folder)
    assert validation.pair == "onnxruntime-f32"
    assert validation.answers == {"p1": ValidationAnswer(breed="pug", probability=0.9)}


@pytest.mark.parametrize("data", [b"", b"{}", b'{"pair": 1, "answers": {}}'])
def test_damaged_validation_answers_are_refused(folder: Path, data: bytes) -> None:
    (folder / "validation.json").write_bytes(data)
    with pytest.raises(BundleError, match="no validation answers"):
        read_validation(folder)


@pytest.mark.parametrize(
    ("card", "version"),
    [(None, 0), ('{"version": 7}', 7), ("{}", 0), ("oops", 0), ('{"version": true}', 0)],
)
def test_the_version_is_that_of_the_card_or_none(
    folder: Path, card: str | None, version: int
) -> None:
    if card is not None:
        (folder / "card.json").write_text(card)
    assert bundle_version(folder) == version


def test_a_bundle_of_the_first_format_is_read_and_never_judges_the_known_share(
    folder: Path,
) -> None:
    file = folder / BUNDLE_FILE
    values = json.loads(file.read_bytes())
    values["format"] = 1
    values["thresholds"].pop("known_share")
    file.write_text(json.dumps(values))
    bundle = read_bundle(folder)
    assert bundle.thresholds.known_share == 0
    assert bundle.thresholds.dog_mass == tiny_bundle.record().thresholds.dog_mass
