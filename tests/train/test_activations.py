"""Kept activations: computed once, read back as they were, refused where they have no room."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.datasets import Drawn, manifest

from doggo.core.errors import InputError, StorageError
from doggo.core.records import Split
from doggo.nets.network import make_network
from doggo.train.activations import ActivationKey, Activations, activations
from doggo.train.student import Front, cut
from doggo.vision.view import View

NAME = "test_efficientnet.r160_in1k"
VIEW = View(size_px=64, resize_px=67)
ROWS = manifest("ab", train=5, validation=1).of(Split.TRAIN)
LABELS = np.repeat([0, 1], 5)


@pytest.fixture(scope="module")
def front() -> Front:
    torch.manual_seed(0)
    return cut(make_network(NAME, ("a", "b"), pretrained=False)[0], NAME, 64)[0]


def _key(**changed: object) -> ActivationKey:
    values = {"features_sha256": "f" * 64, "depth": 3, "view": VIEW, "decoder": "d", "step": "s"}
    return ActivationKey(**{**values, **changed})  # type: ignore[arg-type]


def _get(front: Front, cache: Path, pixels: Drawn, n: int = 10) -> Activations:
    return activations(ROWS[:n], LABELS[:n], pixels, front, key=_key(), cache=cache)


def test_they_are_the_fronts_answers_in_half_the_bits(front: Front, tmp_path: Path) -> None:
    pixels = Drawn()
    kept = _get(front, tmp_path, pixels)
    assert len(kept) == 10
    for n in (0, 7):
        image = torch.from_numpy(VIEW.crop(pixels.image(ROWS[n])))
        with torch.inference_mode():
            expected = front(image[None])[0]
        values, label = kept[0, n]
        assert values.dtype == torch.float16
        assert torch.allclose(values.float(), expected, atol=2e-3, rtol=2e-3)
        assert label == LABELS[n]


def test_only_what_is_missing_is_computed(front: Front, tmp_path: Path) -> None:
    _get(front, tmp_path, Drawn(), n=4)
    pixels = Drawn()
    _get(front, tmp_path, pixels)
    assert pixels.asked == [row.photo_id for row in ROWS[4:]]
    assert len(_get(front, tmp_path, again := Drawn()).part(slice(2, 5))) == 3
    assert again.asked == []


@pytest.mark.parametrize("suffix", ["npy", "ids"])
def test_a_damaged_chunk_is_computed_again(suffix: str, front: Front, tmp_path: Path) -> None:
    first = _get(front, tmp_path, Drawn())[0, 3][0]
    (file,) = tmp_path.glob(f"*/*.{suffix}")
    data = bytearray(file.read_bytes())
    data[-1] ^= 0x81
    file.write_bytes(bytes(data))
    pixels = Drawn()
    assert torch.equal(_get(front, tmp_path, pixels)[0, 3][0], first)
    assert len(pixels.asked) == 10


@pytest.mark.parametrize(
    "changed", [{"features_sha256": "e" * 64}, {"depth": 4}, {"decoder": "x"}, {"step": "x"},
                {"view": View(size_px=64, resize_px=70)}],
)  # fmt: skip
def test_whatever_could_change_them_has_a_folder_of_its_own(changed: dict[str, object]) -> None:
    assert _key(**changed).folder != _key().folder


def test_a_disk_without_room_is_refused_before_anything_is_computed(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 1000))
    pixels = Drawn()
    with pytest.raises(StorageError, match="is needed for the activations"):
        _get(front, tmp_path, pixels)
    assert pixels.asked == []


def test_what_float16_cannot_hold_is_refused(front: Front, tmp_path: Path) -> None:
    class Huge(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float() * 1e6

    with pytest.raises(InputError, match="too large for float16"):
        _get(Huge(), tmp_path, Drawn())  # type: ignore[arg-type]
    assert not list(tmp_path.rglob("*.ids"))
