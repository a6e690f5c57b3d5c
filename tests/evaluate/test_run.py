"""An evaluation says what the predictor says, and drops no photo silently."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from doggo.core.errors import InputError, StorageError
from doggo.core.records import Verdict
from doggo.evaluate.evaluation import Evaluation, Learned, UnknownBreed
from doggo.evaluate.labelled import LabelledPhoto
from doggo.evaluate.report import render, write_report
from doggo.evaluate.run import evaluate
from doggo.vision.predictor import Predictor

Draw = Callable[..., bytes]
Labelled = Callable[..., LabelledPhoto]

NOT_READABLE = {"empty", "cut", "gone"}


def test_answers_are_those_of_predict(
    predictor: Predictor, photos: list[LabelledPhoto], evaluation: Evaluation
) -> None:
    verdicts, right = Counter[Verdict](), 0
    for photo in photos:
        if photo.breed in predictor.bundle.labels and photo.photo_id not in NOT_READABLE:
            prediction = predictor.predict(photo.read())
            verdicts[prediction.verdict] += 1
            right += prediction.breeds[0].breed == photo.breed
    assert evaluation.top1.n == 29
    assert evaluation.top1.hits == right
    assert evaluation.verdicts.named.n == verdicts[Verdict.BREED]
    assert evaluation.verdicts.unsure.n == verdicts[Verdict.UNSURE] == 1
    assert evaluation.verdicts.not_a_dog == verdicts[Verdict.NOT_A_DOG] == 1
    assert evaluation.top3.hits == evaluation.top3.n == 29


def test_every_photo_is_in_exactly_one_place(
    photos: list[LabelledPhoto], evaluation: Evaluation
) -> None:
    unknown = sum(u.named + u.unsure + u.not_a_dog for u in evaluation.unknown_breeds)
    assert evaluation.top1.n + unknown + len(evaluation.not_scored) == len(photos)
    assert sum(breed.recall.n for breed in evaluation.breeds) == evaluation.top1.n


def test_bad_photos_are_listed_with_their_reason(evaluation: Evaluation) -> None:
    reasons = {item.photo_id: item.reason for item in evaluation.not_scored}
    assert set(reasons) == NOT_READABLE
    assert reasons["empty"] == "empty"
    assert reasons["gone"] == "unreadable"
    assert all(item.detail and item.found_at for item in evaluation.not_scored)


def test_breeds_that_the_model_has_not_are_counted_apart(evaluation: Evaluation) -> None:
    assert evaluation.unknown_breeds == (
        UnknownBreed(breed="dalmatian", nearest=None, named=1, unsure=1, not_a_dog=0),
        UnknownBreed(breed="puug", nearest="pug", named=0, unsure=0, not_a_dog=1),
    )


def test_mistakes_come_with_their_photos_most_confident_first(evaluation: Evaluation) -> None:
    assert {m.photo_id for m in evaluation.mistakes} >= {"wrong1", "wrong2", "wrong3"}
    probabilities = [m.probability for m in evaluation.mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    (pair,) = evaluation.confused
    assert (pair.first, pair.second) == ("beagle", "pug")
    assert (pair.first_as_second.hits, pair.second_as_first.hits) == (2, 1)
    assert {m.photo_id for m in pair.mistakes} == {"wrong1", "wrong2", "wrong3"}


def test_the_temperature_is_undone_for_before(
    predictor: Predictor, draw: Draw, labelled: Labelled
) -> None:
    photo = labelled("one", "beagle", draw((255, 0, 0)))
    found = evaluate(predictor, [photo], data="one")
    colours = predictor.view(photo.read()).mean(axis=(0, 1)) / 255
    logits = [8 * float(c) for c in colours]
    for temperature, calibration in ((1.0, found.before), (2.0, found.after)):
        powers = [math.exp(z / temperature) for z in logits]
        assert calibration.log_loss == pytest.approx(-math.log(powers[0] / sum(powers)), rel=1e-4)
    assert found.macro_auroc is None  # one breed has nothing to be told from


def test_the_reader_is_warned_of_pre_training_and_of_few_photos(evaluation: Evaluation) -> None:
    words = " ".join(evaluation.caveats)
    assert "pre-trained on ImageNet" in words
    assert "fewer than 30 photos" in words


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        (
            Learned(trained=2, validated=1),
            "3 of 3 photos are ones that the model learned from (2 to",
        ),
        (None, "nobody can tell whether these photos"),
    ],
)
def test_photos_that_the_model_learned_from_are_the_first_thing_said(
    predictor: Predictor, draw: Draw, labelled: Labelled, learned: Learned | None, said: str
) -> None:
    photos = [labelled(name, "pug", draw((30, 230, 30))) for name in "abc"]
    found = evaluate(predictor, photos, data="three", learned=learned)
    assert said in found.caveats[0]
    assert Evaluation.from_json(found.to_json()) == found
    assert "it was not fitted on" not in render(found, {})
    assert "it was not fitted on" in render(evaluate(predictor, photos, data="three"), {})


def test_model_facts_are_those_of_the_bundle(predictor: Predictor, evaluation: Evaluation) -> None:
    assert evaluation.model.sha256 == predictor.model.sha256
    assert evaluation.model.runtime == "onnxruntime-f32"
    assert evaluation.model.temperature == predictor.bundle.temperature
    assert evaluation.model.licences == ("drawn: yours",)


def test_an_unreachable_bucket_for_one_photo_does_not_stop_the_rest(
    predictor: Predictor, draw: Draw, labelled: Labelled
) -> None:
    found = evaluate(
        predictor,
        [
            labelled("a", "pug", StorageError("the bucket does not answer")),
            labelled("b", "pug", draw((30, 230, 30))),
        ],
        data="two",
    )
    assert found.top1.n == 1
    assert found.not_scored[0].detail == "the bucket does not answer"


def test_a_file_name_that_is_no_text_is_replaced(
    predictor: Predictor, draw: Draw, labelled: Labelled, tmp_path: Path
) -> None:
    name = b"pug/\xff.jpg".decode(errors="surrogateescape")
    found = evaluate(
        predictor,
        [
            labelled("a", "pug", b"no picture", found_at=name),
            labelled("b", "pug", draw((230, 30, 30)), found_at=name),
        ],
        data="two",
    )
    assert found.not_scored[0].found_at == found.mistakes[0].found_at == "pug/?.jpg"
    assert Evaluation.from_json(found.to_json()) == found
    assert "pug/?.jpg" in write_report(found, tmp_path / "r.html").read_text(encoding="utf-8")


def test_progress_reaches_the_end(predictor: Predictor, photos: list[LabelledPhoto]) -> None:
    heard: list[tuple[str, int, int]] = []
    evaluate(predictor, photos, data="all", progress=lambda *step: heard.append(step))
    assert [done for _, done, _ in heard] == list(range(1, len(photos) + 1))
    assert heard[-1] == ("evaluate", len(photos), len(photos))


def test_the_same_photos_give_the_same_figures(
    predictor: Predictor, photos: list[LabelledPhoto], evaluation: Evaluation
) -> None:
    again = evaluate(predictor, photos, data="drawn pictures").headline()
    first = evaluation.headline()
    assert {k: v for k, v in again.items() if k != "ms_per_photo"} == {
        k: v for k, v in first.items() if k != "ms_per_photo"
    }


def test_nothing_to_score_is_said_in_one_line(
    predictor: Predictor, draw: Draw, labelled: Labelled
) -> None:
    with pytest.raises(InputError, match="no photos to evaluate in nowhere"):
        evaluate(predictor, [], data="nowhere")
    with pytest.raises(InputError, match="knows none of the breeds in here: shiba_inu"):
        evaluate(predictor, [labelled("a", "shiba_inu", draw((1, 2, 3)))], data="here")
    with pytest.raises(InputError, match="none of the photos in here can be read"):
        evaluate(predictor, [labelled("a", "pug", b"")], data="here")


def test_a_fault_that_is_no_bad_photo_is_not_swallowed(
    predictor: Predictor, labelled: Labelled
) -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(predictor, [labelled("a", "pug", ZeroDivisionError())], data="here")
