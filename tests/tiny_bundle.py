"""A sealed bundle that really runs and takes milliseconds to make.

Its network names the strongest colour of a picture: red, green and blue are its first three
breeds; the dog mass is the brightness. The known share is the brightness of the darkest
place: a picture with something black in it is of no breed that the network knows.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save_file

from doggo.vision import owner_step
from doggo.vision.bundle import (
    Bundle,
    Parity,
    ValidationAnswer,
    ValidationAnswers,
    seal,
    write_validation,
)
from doggo.vision.pairs import REFERENCE
from doggo.vision.photo import decoder_name
from doggo.vision.verdict import Thresholds
from doggo.vision.view import View

LABELS = ("affenpinscher", "beagle", "pug")
COLOURS = {"affenpinscher": (230, 20, 20), "beagle": (20, 230, 20), "pug": (20, 20, 230)}
SIZE_PX = 32


def colour_network(n_labels: int, *, gain: float = 9.0, turn: int = 0) -> onnx.ModelProto:
    """Return the network. `turn` shifts the breeds, which makes all its answers wrong."""
    weight_KC = np.zeros((n_labels, 3), np.float32)
    for channel in range(min(3, n_labels)):
        weight_KC[(channel + turn) % min(3, n_labels), channel] = gain
    constants = {
        "white": np.float32(255),
        "weight": weight_KC,
        "bias": np.full(n_labels, -1, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["colour"]),
        helper.make_node("Gemm", ["colour", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("ReduceMax", ["colour"], ["dog_mass"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["pixels"], ["light"], axes=[3], keepdims=0),
        helper.make_node("ReduceMin", ["light"], ["darkest"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["darkest", "white"], ["known_share"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE_PX, SIZE_PX, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", n_labels]),
            helper.make_tensor_value_info("dog_mass", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("known_share", TensorProto.FLOAT, ["N"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def record(labels: Sequence[str] = LABELS, **changes: object) -> Bundle:
    """Return the record of a tiny bundle, with some fields changed."""
    bundle = Bundle(
        name="colour",
        labels=tuple(labels),
        view=View(size_px=SIZE_PX, resize_px=SIZE_PX),
        decoder=decoder_name(),
        step=owner_step.NAME,
        temperature=1.0,
        thresholds=Thresholds(dog_mass=0.3, breed_probability=0.8, known_share=0.05),
        calibration="by hand",
        manifest_id=None,
        backbone="colour",
        weights_sha256="0" * 64,
        recipe="drawn",
        config={"seed": "0"},
        run_id=None,
        git_revision="",
        parity=Parity(max_difference=0.0, top1_agreement=1.0, low=0.0, high=1.0, photos=0),
        trials=(),
    )
    return replace(bundle, **changes)  # type: ignore[arg-type]


def make_bundle(
    folder: Path,
    labels: Sequence[str] = LABELS,
    *,
    turn: int = 0,
    gain: float = 9.0,
    validation: Mapping[str, str] | None = None,
    **changes: object,
) -> Path:
    """Write and seal a tiny bundle.

    Args:
        validation: sealed best breed by photo_id.
        changes: fields of the record to set.
    """
    folder.mkdir(parents=True)
    onnx.save(colour_network(len(labels), gain=gain, turn=turn), folder / "model.onnx")
    (folder / "model.ts").write_bytes(b"not read when serving")
    save_file({"gain": np.float32([gain, turn])}, folder / "model.safetensors")
    (folder / "labels.json").write_text(json.dumps(list(labels)))
    answers = {
        key: ValidationAnswer(breed=breed, probability=0.9)
        for key, breed in (validation or {}).items()
    }
    write_validation(folder, ValidationAnswers(pair=REFERENCE.name, answers=answers))
    seal(folder, record(labels, **changes))
    return folder


def put_another_in_its_place(folder: Path) -> None:
    """Copy another sealed bundle over a registered one: each of its hashes is right."""
    other = make_bundle(folder.parent / "other", turn=1)
    shutil.copytree(other, folder, dirs_exist_ok=True)
    shutil.rmtree(other)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (90, 70)) -> bytes:
    """Return a PNG of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()
