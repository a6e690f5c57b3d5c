"""A real, tiny bundle that tells red, green and blue pictures apart, and such pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from doggo.evaluate.evaluation import Evaluation
from doggo.evaluate.labelled import LabelledPhoto
from doggo.evaluate.run import evaluate
from doggo.vision.bundle import Bundle, Parity, seal
from doggo.vision.pairs import REFERENCE, Trial
from doggo.vision.photo import decoder_name
from doggo.vision.predictor import Predictor
from doggo.vision.verdict import Thresholds
from doggo.vision.view import View

LABELS = ("beagle", "pug", "samoyed")  # red, green, blue
SIZE_PX = 32
TEMPERATURE = 2.0

Draw = Callable[..., bytes]
Labelled = Callable[..., LabelledPhoto]


def _network() -> onnx.ModelProto:
    """Features are the mean colours; logits eight times those in [0, 1], dog mass their sum."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["features"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["features", "white"], ["colour"]),
        helper.make_node("Mul", ["colour", "eight"], ["logits"]),
        helper.make_node("ReduceSum", ["colour", "last"], ["light"], keepdims=0),
        helper.make_node("Clip", ["light", "zero", "one"], ["dog_mass"]),
        helper.make_node("Clip", ["light", "one", "one"], ["known_share"]),
    ]
    constants = [
        helper.make_tensor("white", TensorProto.FLOAT, [], [255.0]),
        helper.make_tensor("eight", TensorProto.FLOAT, [], [8.0]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(LABELS)]),
            helper.make_tensor_value_info("dog_mass", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("known_share", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3]),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    onnx.save(_network(), folder / "model.onnx")
    for name in ("model.ts", "model.safetensors", "validation.json"):
        (folder / name).write_bytes(b"{}")
    (folder / "labels.json").write_text(json.dumps(LABELS))
    bundle = Bundle(
        name="colours",
        labels=LABELS,
        view=View(size_px=SIZE_PX, resize_px=64, short_side_px=64),
        decoder=decoder_name(),
        step="none",
        temperature=TEMPERATURE,
        thresholds=Thresholds(dog_mass=0.3, breed_probability=0.6, known_share=0.2),
        calibration="by hand",
        manifest_id=None,
        backbone="colours",
        weights_sha256="0" * 64,
        recipe="bootstrap",
        config={},
        run_id=None,
        git_revision="unknown",
        parity=Parity(max_difference=0, top1_agreement=1, low=0.9, high=1, photos=10),
        trials=(
            Trial(pair=REFERENCE, top1_difference=0, low=0, high=0, ms_per_photo=1, photos=10),
        ),
    )
    seal(folder, bundle)
    return folder


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    """The real predictor over the tiny bundle."""
    return Predictor.load(bundle, pair=REFERENCE, threads=2)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw a PNG of one colour with noise: draw((200, 30, 30), seed=1)."""

    def drawn(colour: tuple[int, int, int], seed: int = 0) -> bytes:
        noise_HWC = np.random.default_rng(seed).integers(-20, 21, (80, 96, 3))
        image_HWC = np.clip(np.array(colour) + noise_HWC, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(image_HWC).save(file, "PNG")
        return file.getvalue()

    return drawn


@pytest.fixture(scope="session")
def labelled() -> Labelled:
    """Make a labelled photo of bytes, or of an error that reading it raises."""

    def made(
        photo_id: str,
        breed: str,
        content: bytes | Exception,
        *,
        found_at: str | None = None,
        may_be_shown: bool = True,
    ) -> LabelledPhoto:
        def read() -> bytes:
            if isinstance(content, Exception):
                raise content
            return content

        return LabelledPhoto(
            photo_id=photo_id,
            breed=breed,
            found_at=f"{breed}/{photo_id}.png" if found_at is None else found_at,
            may_be_shown=may_be_shown,
            read=read,
        )

    return made


@pytest.fixture(scope="session")
def photos(draw: Draw, labelled: Labelled) -> list[LabelledPhoto]:
    """Right, wrong, unsure, dark, broken, unreadable and unknown ones."""
    red, green, blue, grey, black = (
        (230, 30, 30),
        (30, 230, 30),
        (30, 30, 230),
        (130, 120, 125),
        (8, 8, 8),
    )
    made = [
        labelled(f"{breed}{seed}", breed, draw(colour, seed))
        for breed, colour in zip(LABELS, (red, green, blue), strict=True)
        for seed in range(8)
    ]
    made += [
        labelled("wrong1", "beagle", draw(green, 20)),
        labelled("wrong2", "pug", draw(red, 21)),
        labelled("wrong3", "beagle", draw(green, 22), may_be_shown=False),
        labelled("grey", "beagle", draw(grey, 23)),
        labelled("black", "samoyed", draw(black, 24)),
        labelled("empty", "pug", b""),
        labelled("cut", "pug", draw(green, 25)[:200]),
        labelled("gone", "beagle", FileNotFoundError("gone.png is not there")),
        labelled("other1", "dalmatian", draw(red, 26)),
        labelled("other2", "dalmatian", draw(grey, 27)),
        labelled("other3", "puug", draw(black, 28)),
    ]
    return made


@pytest.fixture(scope="session")
def evaluation(predictor: Predictor, photos: list[LabelledPhoto]) -> Evaluation:
    """The evaluation of all of them."""
    return evaluate(predictor, photos, data="drawn pictures", licences=("drawn: yours",))
