"""Bytes in, answer out: the verdict rule, order, limits, and bundles that must not load."""

from __future__ import annotations

import gc
import io
import json
import math
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from tests import tiny_bundle
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.core.errors import BundleError, PhotoError, UsageError
from doggo.core.records import SHOWN_BREEDS, Prediction, Verdict
from doggo.vision import owner_step, pairs
from doggo.vision.bundle import BUNDLE_FILE, bundle_sha256, seal
from doggo.vision.pairs import REFERENCE, Pair
from doggo.vision.predictor import RANKED_BREEDS, Predictor
from doggo.vision.verdict import Thresholds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour")


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor.load(folder)


def without_accidents(prediction: Prediction) -> Prediction:
    return replace(prediction, prediction_id="", latency_ms=0.0)


@pytest.mark.parametrize(("breed", "colour"), COLOURS.items())
def test_the_answer_is_the_best_breed_with_its_model(
    predictor: Predictor, folder: Path, breed: str, colour: tuple[int, int, int]
) -> None:
    prediction = predictor.predict(picture(colour))
    assert prediction.verdict is Verdict.BREED
    assert prediction.breeds[0].breed == breed
    assert prediction.model.sha256 == bundle_sha256(folder)
    assert (prediction.model.name, prediction.model.version) == ("colour", 0)
    assert prediction.latency_ms > 0


def test_breeds_come_best_first_with_probabilities_of_six_digits(predictor: Predictor) -> None:
    prediction = predictor.predict(picture((200, 120, 40)))
    shares = [item.probability for item in prediction.breeds]
    assert len(prediction.shown) == SHOWN_BREEDS <= len(shares) <= RANKED_BREEDS
    assert prediction.shown == prediction.breeds[:SHOWN_BREEDS]
    assert shares == sorted(shares, reverse=True)
    assert math.isclose(sum(shares), 1, abs_tol=1e-5)
    assert all(round(share, 6) == share for share in shares)


def test_a_model_of_two_breeds_answers_with_two(tmp_path: Path) -> None:
    predictor = Predictor.load(make_bundle(tmp_path / "two", ["beagle", "pug"]))
    assert len(predictor.predict(picture((9, 250, 9))).breeds) == 2


def test_a_dark_picture_is_no_dog_and_a_grey_one_hard_to_tell(predictor: Predictor) -> None:
    assert predictor.predict(picture((20, 5, 5))).verdict is Verdict.NOT_A_DOG
    assert predictor.predict(picture((200, 200, 190))).verdict is Verdict.UNSURE


def test_a_dog_of_a_breed_that_the_model_has_not_is_hard_to_tell(predictor: Predictor) -> None:
    """However sure the best of its own breeds is."""
    stranger = Image.open(io.BytesIO(picture(COLOURS["beagle"])))
    stranger.paste((0, 0, 0), (30, 20, 60, 50))
    stream = io.BytesIO()
    stranger.save(stream, "PNG")
    prediction = predictor.predict(stream.getvalue())
    assert prediction.breeds[0].probability > predictor.bundle.thresholds.breed_probability
    assert prediction.verdict is Verdict.UNSURE


def test_a_network_without_a_known_share_answers_in_the_first_format_only(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "old")
    network = onnx.load(folder / "model.onnx")
    del network.graph.output[2]
    onnx.save(network, folder / "model.onnx")
    bare = Thresholds(dog_mass=0.3, breed_probability=0.8)
    seal(folder, tiny_bundle.record(thresholds=bare))
    with pytest.raises(BundleError, match="a known share a photo; export the model again"):
        Predictor.load(folder)
    _as_first_format(folder)
    assert Predictor.load(folder).predict(picture(COLOURS["pug"])).verdict is Verdict.BREED


def _as_first_format(folder: Path) -> None:
    values = json.loads((folder / BUNDLE_FILE).read_bytes())
    values["format"] = 1
    values["thresholds"].pop("known_share")
    (folder / BUNDLE_FILE).write_text(json.dumps(values))


@pytest.mark.parametrize("pair", [REFERENCE, Pair("openvino", "f32")], ids=lambda pair: pair.name)
def test_a_predictor_is_freed_at_once_without_the_garbage_collector(
    folder: Path, pair: Pair
) -> None:
    # A server freezes its objects at the start: a cycle would keep a swapped-out model for ever.
    if pair not in pairs.usable_pairs():
        pytest.skip(f"{pair.name} does not run here")
    predictor = Predictor.load(folder, pair=pair)
    predictor.smoke_test()
    predictor.predict(picture((9, 250, 9)))
    parts = [weakref.ref(part) for part in (predictor, predictor._session)]
    gc.disable()
    try:
        del predictor
        assert [part() for part in parts] == [None, None]
    finally:
        gc.enable()


def test_the_same_bytes_give_the_same_answer_whatever_comes_with_them(
    predictor: Predictor, foolbox_photos: list[Path]
) -> None:
    datas = [path.read_bytes() for path in foolbox_photos]
    alone = [without_accidents(predictor.predict(data)) for data in datas]
    together = predictor.predict_many(datas)
    assert alone == [without_accidents(item) for item in together if isinstance(item, Prediction)]
    backwards = predictor.predict_many(datas[::-1])[::-1]
    assert alone == [without_accidents(item) for item in backwards if isinstance(item, Prediction)]


def test_every_prediction_has_its_own_id(predictor: Predictor) -> None:
    answers = predictor.predict_many([picture((1, 2, 3))] * 20)
    assert len({item.prediction_id for item in answers if isinstance(item, Prediction)}) == 20


def test_bad_photos_among_good_ones_are_told_apart_in_order(predictor: Predictor) -> None:
    answers = predictor.predict_many(
        [picture(COLOURS["pug"]), b"", b"no picture", picture(COLOURS["beagle"])]
    )
    assert [type(answer) for answer in answers] == [Prediction, PhotoError, PhotoError, Prediction]
    assert predictor.predict_many([]) == []


def test_many_threads_may_share_a_predictor(predictor: Predictor) -> None:
    datas = [picture(colour) for colour in COLOURS.values()] * 10
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(predictor.predict, datas))
    assert [answer.breeds[0].breed for answer in answers] == list(COLOURS) * 10


def test_answers_are_the_same_with_one_thread_and_with_four(folder: Path) -> None:
    data = picture((90, 80, 70))
    one, four = (Predictor.load(folder, threads=threads) for threads in (1, 4))
    assert without_accidents(one.predict(data)) == without_accidents(four.predict(data))


def test_the_version_comes_from_the_card(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    (folder / "card.json").write_text(json.dumps({"version": 4}))
    assert Predictor.load(folder).model.version == 4


def test_an_altered_network_is_not_even_opened(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx was altered"):
        Predictor.load(folder)


def test_a_network_with_other_outputs_than_labels_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    onnx.save(tiny_bundle.colour_network(5), folder / "model.onnx")
    seal(folder, tiny_bundle.record())
    with pytest.raises(BundleError, match="not logits of"):
        Predictor.load(folder)


def test_a_bundle_of_another_processing_step_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_step, "NAME", "equalise")
    with pytest.raises(BundleError, match=r"'none'.*'equalise'"):
        Predictor.load(folder)


def test_the_smoke_test_passes_a_network_that_answers(predictor: Predictor) -> None:
    predictor.smoke_test()


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_the_smoke_test_refuses_numbers_that_are_no_answer(tmp_path: Path, gain: float) -> None:
    predictor = Predictor.load(make_bundle(tmp_path / "bundle", gain=gain))
    with np.errstate(invalid="ignore"), pytest.raises(BundleError, match="smoke test"):
        predictor.smoke_test()


def test_the_pair_can_be_forced_and_a_lossy_one_is_never_chosen(folder: Path) -> None:
    assert Predictor.load(folder).pair == REFERENCE
    forced = pairs.usable_pairs()[-1]
    assert Predictor.load(folder, pair=forced).pair == forced


def test_a_pair_that_this_machine_lacks_is_a_clear_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_has_bf16", lambda: False)
    with pytest.raises(UsageError, match="cannot run"):
        Predictor.load(folder, pair=Pair("openvino", "bf16"))


def test_predicting_needs_no_training_library_and_no_web_framework(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from doggo.vision.predictor import Predictor; "
        f"Predictor.load(Path({str(folder)!r})).smoke_test(); "
        "print(sorted({'torch', 'pydantic', 'pyarrow', 'pandas', 'mlflow', 'fastapi', "
        "'sqlalchemy', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
