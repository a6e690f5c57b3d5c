"""Formats are compared with the trained network, runtimes with each other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from doggo.core.errors import BundleError
from doggo.export.compare import Answers, check_parity, looks, paired_interval, trials
from doggo.export.formats import write_onnx, write_torchscript
from doggo.export.measure import F32_PHOTOS, photos_to_try
from doggo.vision.pairs import LARGEST_LOSS, REFERENCE, Pair, choose_pair

SIZE_PX = 16
FAST = Pair("openvino", "bf16")


class Colours(nn.Module):
    """A small network of the same shape as ours: names the strongest colour."""

    def forward(self, images_NHWC: Tensor) -> tuple[Tensor, ...]:
        mean_NC = images_NHWC.float().mean(dim=(1, 2)) / 255
        return mean_NC * 9, mean_NC.amax(dim=1), mean_NC.amin(dim=1), mean_NC * 1


class Moody(Colours):
    """Answers bright batches otherwise: a branch on data, which no exported file keeps."""

    def forward(self, images_NHWC: Tensor) -> tuple[Tensor, ...]:
        logits, *others = super().forward(images_NHWC)
        return (logits * 0.5 if bool(images_NHWC.float().mean() > 100) else logits), *others


def pictures(n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(100, 256, (n, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def written(network: nn.Module, folder: Path) -> Path:
    write_onnx(network, SIZE_PX, folder / "model.onnx")  # type: ignore[arg-type]
    write_torchscript(network, SIZE_PX, folder / "model.ts")  # type: ignore[arg-type]
    return folder


def test_faithful_files_pass_with_their_figures(tmp_path: Path) -> None:
    parity = check_parity(Colours(), written(Colours(), tmp_path), pictures(), real=True)  # type: ignore[arg-type]
    assert parity.max_difference < 1e-5
    assert parity.top1_agreement == 1
    assert (parity.photos, parity.high) == (40, 1.0)
    assert 0.9 < parity.low < 0.92  # Wilson, 40 of 40


def test_drawn_pictures_count_as_no_photos(tmp_path: Path) -> None:
    parity = check_parity(Colours(), written(Colours(), tmp_path), pictures(), real=False)  # type: ignore[arg-type]
    assert (parity.photos, parity.low, parity.high) == (0, 0.0, 1.0)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_files_that_answer_otherwise_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.ts does not answer as the trained network"):
        check_parity(Moody(), written(Moody(), tmp_path), pictures(), real=True)  # type: ignore[arg-type]


def test_an_onnx_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    class Louder(Colours):
        def forward(self, images_NHWC: Tensor) -> tuple[Tensor, ...]:
            logits, *others = super().forward(images_NHWC)
            return logits * 2, *others

    written(Colours(), tmp_path)
    write_onnx(Louder(), SIZE_PX, tmp_path / "model.onnx")  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=r"model\.onnx does not answer"):
        check_parity(Colours(), tmp_path, pictures(), real=True)  # type: ignore[arg-type]


def test_a_network_of_not_a_number_is_refused(tmp_path: Path) -> None:
    class Diverged(Colours):
        def forward(self, images_NHWC: Tensor) -> tuple[Tensor, ...]:
            logits, *others = super().forward(images_NHWC)
            return logits * float("nan"), *others

    with pytest.raises(BundleError):
        check_parity(Diverged(), written(Diverged(), tmp_path), pictures(), real=True)  # type: ignore[arg-type]


def test_only_what_could_be_chosen_is_tried_on_many_photos() -> None:
    slow, fast = Pair("openvino", "f32"), FAST
    assert photos_to_try({REFERENCE: 5.0, slow: 6.0, fast: 3.0}, 1300) == {fast: 1300}
    assert photos_to_try({REFERENCE: 5.0, slow: 4.0}, 1300) == {slow: F32_PHOTOS}
    assert photos_to_try({REFERENCE: 5.0, slow: 4.0}, 90) == {slow: 90}
    both = photos_to_try({REFERENCE: 5.0, slow: 4.0, fast: 3.0}, 1300)
    assert list(both) == [fast, slow]


@given(gained=st.integers(0, 20), lost=st.integers(0, 20), more=st.integers(1, 500))
def test_the_paired_interval_holds_its_difference_and_mirrors(
    gained: int, lost: int, more: int
) -> None:
    n = gained + lost + more
    difference, low, high = paired_interval(gained, lost, n)
    assert difference == (gained - lost) / n
    assert low <= (gained - lost) / (n + 2) <= high
    back, back_low, back_high = paired_interval(lost, gained, n)
    assert back == -difference
    assert math.isclose(back_low, -high)
    assert math.isclose(back_high, -low)


def test_no_difference_on_few_photos_proves_nothing_and_on_many_enough() -> None:
    assert paired_interval(0, 0, 193)[1] <= -LARGEST_LOSS
    assert paired_interval(0, 0, 194)[1] > -LARGEST_LOSS


def answers(hits: list[bool]) -> Answers:
    logits_NK = np.zeros((len(hits), 2), np.float32)
    logits_NK[np.arange(len(hits)), [0 if hit else 1 for hit in hits]] = 1
    ones_N = np.ones(len(hits), np.float32)
    return Answers(logits_NK=logits_NK, dog_mass_N=ones_N, known_share_N=ones_N)


@pytest.mark.parametrize(("lost", "allowed"), [(0, True), (10, False)])
def test_a_fast_pair_is_taken_only_if_its_loss_is_surely_small(lost: int, allowed: bool) -> None:
    found = {
        REFERENCE: answers([True] * 500),
        FAST: answers([False] * lost + [True] * (500 - lost)),
    }
    compared = trials(found, {REFERENCE: 6.0, FAST: 3.0}, np.zeros(500, np.int64))
    assert {item.pair: item.photos for item in compared} == {REFERENCE: 500, FAST: 500}
    assert (choose_pair(compared) == FAST) is allowed


def test_a_pair_is_compared_on_what_the_reference_has_answered_too() -> None:
    found = {REFERENCE: answers([True] * 300), FAST: answers([True] * 300 + [False] * 200)}
    compared = {t.pair: t for t in trials(found, {REFERENCE: 6.0, FAST: 3.0}, np.zeros(500, int))}
    assert (compared[FAST].photos, compared[FAST].top1_difference) == (300, 0)


def test_looks_are_at_sixths_and_never_early() -> None:
    assert looks(1) == (1,)
    assert looks(399) == (399,)
    assert looks(480) == (400, 480)
    assert looks(1320) == (440, 660, 880, 1100, 1320)
    assert looks(12_000) == (2000, 4000, 6000, 8000, 10_000, 12_000)


def test_an_early_look_asks_for_more() -> None:
    labels_N = np.zeros(1320, np.int64)
    for photos, allowed in ((440, False), (880, True)):  # one lost: 1.2 and 0.6 points at most
        hits = [True] * photos
        found = {REFERENCE: answers(hits), FAST: answers([False, *hits[1:]])}
        pairs = trials(found, {REFERENCE: 6.0, FAST: 3.0}, labels_N)
        assert (choose_pair(pairs) == FAST) is allowed
        (fast,) = (item for item in pairs if item.pair == FAST)
        assert fast.low == paired_interval(0, 1, photos, 3.0)[1]


def test_looking_often_lets_hardly_more_pairs_through_that_lose_a_point() -> None:
    n, runs, rng = 1320, 4000, np.random.default_rng(0)
    early, late = 0, 0
    for _ in range(runs):
        lost_N, gained_N = rng.random(n) < 0.015, rng.random(n) < 0.005
        lows = [
            paired_interval(
                int(gained_N[:look].sum()), int(lost_N[:look].sum()), look, 1.96 if look == n else 3
            )[1]
            for look in looks(n)
        ]
        early += any(low > -LARGEST_LOSS for low in lows)
        late += lows[-1] > -LARGEST_LOSS
    assert late <= early < 1.25 * late < 0.05 * runs
