"""The bundle: a sealed folder that holds everything needed to answer.

Owns the format of `bundle.json` and the hashes. Knows nothing of versions, buckets or
runtimes. `bundle.json` is written last; its own sha256 names the model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from doggo.core.errors import BundleError, UsageError
from doggo.storage.digest import file_sha256
from doggo.vision import strict
from doggo.vision.pairs import Pair, Trial
from doggo.vision.verdict import Thresholds
from doggo.vision.view import View

FORMAT = 2
"""Of what is sealed here. Format 1, which is read too, had no known share."""
BUNDLE_FILE = "bundle.json"
CARD_FILE = "card.json"
NETWORK_FILE = "model.onnx"
FILES = (NETWORK_FILE, "model.ts", "model.safetensors", "labels.json", "validation.json")
"""What export writes beside `bundle.json`, and what its hashes cover."""


PARITY_TOLERANCE = 1e-3
"""Largest difference of a probability that float32 arithmetic in another order may make.

lite0 differs by 3e-6 on 64 real photos (November 2026).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How far the exported networks are from the PyTorch model, on real photos.

    Attributes:
        max_difference: largest absolute difference of a probability or dog mass.
        top1_agreement: fraction of photos with the same best breed; low, high: its 95 %
            Wilson interval.
        photos: how many were compared.
    """

    max_difference: float
    top1_agreement: float
    low: float
    high: float
    photos: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """What `bundle.json` says.

    Attributes:
        name: of the model, e.g. `efficientnet_lite0`.
        labels: keys of the breeds, in the order of the logits.
        decoder, step: what made the canonical pixels it was trained on.
        temperature: divides the logits before the softmax.
        calibration: one line: on what temperature and thresholds were fitted.
        trials: what each pair of runtime and precision cost on validation.
        files: sha256 (hex) of every file beside it; filled in by `seal`.
    """

    name: str
    labels: tuple[str, ...]
    view: View
    decoder: str
    step: str
    temperature: float
    thresholds: Thresholds
    calibration: str
    manifest_id: str | None
    backbone: str
    weights_sha256: str
    recipe: str
    config: Mapping[str, str]
    run_id: str | None
    git_revision: str
    parity: Parity
    trials: tuple[Trial, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationAnswer:
    """A model's best breed for one validation photo, with its probability."""

    breed: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationAnswers:
    """What `validation.json` holds: the answers by photo_id, and the pair that gave them.

    The gate compares models with them, and computes only what is missing.
    """

    pair: str
    answers: Mapping[str, ValidationAnswer]


def seal(folder: Path, bundle: Bundle) -> str:
    """Hash the files of a finished folder, write `bundle.json`, return its sha256 (hex).

    Raises:
        BundleError: a file is missing, or `labels.json` disagrees with the bundle.
    """
    sealed = replace(bundle, files={name: _sha256(folder / name) for name in FILES})
    _check_values(sealed)
    _check_labels(folder, sealed)
    data = _to_bytes(sealed)
    target = folder / BUNDLE_FILE
    temporary = folder / f".{BUNDLE_FILE}.tmp"
    temporary.write_bytes(data)
    temporary.replace(target)
    return hashlib.sha256(data).hexdigest()


def bundle_sha256(folder: Path) -> str:
    """Return the sha256 (hex) of a folder's `bundle.json`: the identity of the model."""
    return _sha256(folder / BUNDLE_FILE)


def read_bundle(folder: Path, *, expect_sha256: str | None = None) -> Bundle:
    """Return the bundle of a folder after checking every hash.

    Args:
        expect_sha256: the identity that the caller was promised (by the pointer, say).

    Raises:
        BundleError: something is missing, altered or does not fit together.
    """
    bundle = parse_bundle(folder, expect_sha256=expect_sha256)
    for name, promised in bundle.files.items():
        if _sha256(folder / name) != promised:
            raise BundleError(f"{folder / name} was altered after it was sealed; {_AGAIN}")
    _check_labels(folder, bundle)
    return bundle


def parse_bundle(folder: Path, *, expect_sha256: str | None = None) -> Bundle:
    """Return what `bundle.json` says without hashing the large files, e.g. for a list.

    Raises:
        BundleError: it is missing or not of this format.
    """
    path = folder / BUNDLE_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{folder} is not a bundle: cannot read {BUNDLE_FILE}") from error
    if expect_sha256 is not None and hashlib.sha256(data).hexdigest() != expect_sha256:
        raise BundleError(f"{path} is not the one that was registered; {_AGAIN}")
    try:
        bundle = _parse(strict.mapping(json.loads(data), "bundle"))
        _check_values(bundle)
    except (ValueError, TypeError, KeyError, UsageError, RecursionError) as error:
        raise BundleError(f"{path} is not a bundle of format {FORMAT}: {error}") from error
    return bundle


def bundle_values(bundle: Bundle) -> dict[str, object]:
    """Return a bundle as the plain data that `bundle.json` holds."""
    trials = [{**asdict(trial), "pair": trial.pair.name} for trial in bundle.trials]
    return {**asdict(bundle), "view": bundle.view.to_json(), "trials": trials}


def write_validation(folder: Path, validation: ValidationAnswers) -> None:
    """Write `validation.json` into a folder that is not sealed yet."""
    values = {
        "pair": validation.pair,
        "answers": {key: asdict(answer) for key, answer in validation.answers.items()},
    }
    (folder / "validation.json").write_text(json.dumps(values, sort_keys=True, indent=0) + "\n")


def read_validation(folder: Path) -> ValidationAnswers:
    """Return the sealed validation answers of a bundle.

    Raises:
        BundleError: the file is missing or not of this format.
    """
    path = folder / "validation.json"
    try:
        values = strict.mapping(json.loads(path.read_bytes()), "validation")
        strict.same_keys(values, {"pair", "answers"}, "validation")
        answers = strict.mapping(values["answers"], "answers")
        return ValidationAnswers(
            pair=strict.text(values["pair"], "pair"),
            answers={photo_id: _validation_answer(item) for photo_id, item in answers.items()},
        )
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} holds no validation answers: {error}; {_AGAIN}") from error


def bundle_version(folder: Path) -> int:
    """Return the version that `card.json` gives, or 0 for a bundle that is not registered."""
    try:
        version = json.loads((folder / CARD_FILE).read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) and not isinstance(version, bool) else 0


_READ = (1, FORMAT)
_AGAIN = "export the model again or restore the bundle from a backup"


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BundleError(f"cannot read {path}: {reason}; {_AGAIN}") from error


def _to_bytes(bundle: Bundle) -> bytes:
    # Canonical: the same bundle has the same bytes, hence the same sha256.
    text = json.dumps(bundle_values(bundle), sort_keys=True, indent=1, allow_nan=False)
    return f"{text}\n".encode()


def _parse(values: Mapping[str, object]) -> Bundle:
    strict.same_keys(values, {item.name for item in fields(Bundle)}, "bundle")
    texts = ("name", "decoder", "step", "calibration", "backbone", "weights_sha256", "recipe")
    return Bundle(
        **{name: strict.text(values[name], name) for name in (*texts, "git_revision")},
        format=strict.whole(values["format"], "format"),
        labels=tuple(
            strict.text(label, "labels") for label in strict.sequence(values["labels"], "labels")
        ),
        view=View.from_json(strict.mapping(values["view"], "view")),
        temperature=strict.number(values["temperature"], "temperature"),
        thresholds=_thresholds(values["thresholds"], known_share=values["format"] != 1),
        manifest_id=strict.text_or_none(values["manifest_id"], "manifest_id"),
        config=strict.texts(values["config"], "config"),
        run_id=strict.text_or_none(values["run_id"], "run_id"),
        parity=_parity(values["parity"]),
        trials=tuple(_trial(item) for item in strict.sequence(values["trials"], "trials")),
        files=strict.texts(values["files"], "files"),
    )


def _check_values(bundle: Bundle) -> None:
    """Raise BundleError for values that cannot be those of a model."""
    wrong = None
    if bundle.format not in _READ:
        wrong = f"format {bundle.format} (this doggo reads 1 and {FORMAT})"
    elif not bundle.labels or len(set(bundle.labels)) != len(bundle.labels):
        wrong = "labels that are missing or doubled"
    elif bundle.temperature <= 0:
        wrong = f"a temperature of {bundle.temperature}"
    elif not all(0 <= value <= 1 for value in asdict(bundle.thresholds).values()):
        wrong = f"thresholds outside 0 to 1: {bundle.thresholds}"
    elif set(bundle.files) != set(FILES):
        wrong = f"the files {', '.join(sorted(bundle.files)) or 'none'}, not {', '.join(FILES)}"
    if wrong:
        raise BundleError(f"bundle {bundle.name} has {wrong}; {_AGAIN}")


def _check_labels(folder: Path, bundle: Bundle) -> None:
    try:
        labels = json.loads((folder / "labels.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {folder / 'labels.json'}; {_AGAIN}") from error
    if labels != list(bundle.labels):
        raise BundleError(
            f"{folder / 'labels.json'} does not list the {len(bundle.labels)} labels of "
            f"{BUNDLE_FILE}; {_AGAIN}"
        )


def _trial(item: object) -> Trial:
    values = strict.mapping(item, "trials")
    strict.same_keys(values, {item.name for item in fields(Trial)}, "trial")
    numbers = ("top1_difference", "low", "high", "ms_per_photo")
    return Trial(
        pair=Pair.parse(strict.text(values["pair"], "pair")),
        photos=strict.whole(values["photos"], "photos"),
        **{name: strict.number(values[name], name) for name in numbers},
    )


def _numbers(value: object, names: set[str], what: str) -> dict[str, float]:
    values = strict.mapping(value, what)
    strict.same_keys(values, names, what)
    return {name: strict.number(values[name], name) for name in values}


def _thresholds(value: object, *, known_share: bool) -> Thresholds:
    names = {item.name for item in fields(Thresholds)}
    return Thresholds(
        **_numbers(value, names if known_share else names - {"known_share"}, "thresholds")
    )


def _validation_answer(item: object) -> ValidationAnswer:
    values = strict.mapping(item, "answer")
    strict.same_keys(values, {"breed", "probability"}, "answer")
    return ValidationAnswer(
        breed=strict.text(values["breed"], "breed"),
        probability=strict.number(values["probability"], "probability"),
    )


def _parity(value: object) -> Parity:
    values = dict(strict.mapping(value, "parity"))
    photos = strict.whole(values.pop("photos", None), "photos")
    names = {item.name for item in fields(Parity)} - {"photos"}
    return Parity(photos=photos, **_numbers(values, names, "parity"))
