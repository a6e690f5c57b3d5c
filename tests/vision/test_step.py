"""The owner's step: what it makes is checked, and its slips are never a photo's fault."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.pictures import encode, picture

from doggo.core.errors import StepError
from doggo.vision import owner_step
from doggo.vision.photo import canonical, prepare
from doggo.vision.step import step_name, take_step

IMAGE_HWC = np.asarray(picture(90, 70))

SLIPS: dict[str, tuple[Callable[[NDArray[np.uint8]], object], str]] = {
    "an exception": (lambda image: image.no_such_thing, "raised AttributeError"),
    "an error of the system": (lambda _: os.close(-1), "raised OSError"),
    "nothing": (lambda _: None, "made a NoneType"),
    "floats": (lambda image: image / 255, r"made float64 \[70, 90, 3\]"),
    "one channel": (lambda image: image[:, :, 0], r"made uint8 \[70, 90\]"),
    "four channels": (lambda image: np.dstack([image, image[:, :, 0]]), r"\[70, 90, 4\]"),
    "too large": (lambda image: np.repeat(image, 2, axis=0), r"\[140, 90, 3\]"),
    "empty": (lambda image: image[:0], r"\[0, 90, 3\]"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_one_line_that_names_the_file(slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process, said = SLIPS[slip]
    monkeypatch.setattr(owner_step, "process", process)
    with pytest.raises(StepError, match=said) as caught:
        take_step(IMAGE_HWC)
    assert owner_step.__file__ in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_no_photo_is_blamed_for_a_slip(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(picture(), kind)
    monkeypatch.setattr(owner_step, "process", SLIPS["floats"][0])
    for read in (canonical, prepare):
        with pytest.raises(StepError, match="mend the step"):
            read(data)


def test_a_step_may_crop_and_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_step, "process", lambda image_HWC: image_HWC[5:-5, ::-1])
    made_HWC = take_step(IMAGE_HWC)
    assert made_HWC.flags["C_CONTIGUOUS"]
    assert np.array_equal(made_HWC, IMAGE_HWC[5:-5, ::-1])


def test_a_step_without_a_name_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_step, "NAME", "")
    with pytest.raises(StepError, match=r"NAME in .*owner_step\.py\) is '': make it a word"):
        step_name()
    monkeypatch.delattr(owner_step, "NAME")
    with pytest.raises(StepError, match="raised AttributeError"):
        step_name()
