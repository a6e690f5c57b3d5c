"""A slip in the owner's step, at every edge: one clear line, and no photo is lost."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.commands import run_doggo
from tests.homes import drawn_folder
from tests.own_step import Installation
from tests.serving import Serving
from tests.tiny_bundle import COLOURS, make_bundle, picture

from doggo.serve.models import FixedBundle
from doggo.vision import owner_step

SLIP = "return image_HWC.no_such_thing"


@pytest.fixture
def mine(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "mine")


def test_a_slip_stops_preprocess_and_no_photo_is_lost(tmp_path: Path, mine: Installation) -> None:
    home, photos = tmp_path / "home", drawn_folder(tmp_path / "photos", breeds=2, photos=5)
    assert run_doggo(home, "intake", photos, PYTHONPATH=mine.path).code == 0
    mine.write_step(SLIP)
    done = run_doggo(home, "preprocess", PYTHONPATH=mine.path)
    assert done.code == 1
    line = mine.step.read_text().splitlines().index(f"    {SLIP}") + 1
    assert f"your processing step ({mine.step}, line {line}) raised AttributeError" in done.line()
    assert run_doggo(home, "quarantine", "--json", PYTHONPATH=mine.path).json() == []
    mine.write_step("return 255 - image_HWC")
    assert run_doggo(home, "preprocess", "--json", PYTHONPATH=mine.path).json()["photos"] == 10


def test_a_slip_stops_intake_and_no_file_is_blamed(tmp_path: Path, mine: Installation) -> None:
    home, photos = tmp_path / "home", drawn_folder(tmp_path / "photos", breeds=2, photos=5)
    mine.write_step("return image_HWC / 255")
    done = run_doggo(home, "intake", photos, PYTHONPATH=mine.path)
    assert done.code == 1
    assert "made float64 [128, 160, 3]" in done.line()
    assert run_doggo(home, "quarantine", "--json", PYTHONPATH=mine.path).json() == []
    mine.write_step("return image_HWC")
    assert run_doggo(home, "intake", photos, "--json", PYTHONPATH=mine.path).json()["added"] == 10


def test_a_slip_stops_predict_in_one_line(tmp_path: Path, mine: Installation) -> None:
    bundle = make_bundle(tmp_path / "colour", step="mine")
    (tmp_path / "red.png").write_bytes(picture(COLOURS["pug"]))
    mine.write_step(SLIP)
    words = ("predict", tmp_path / "red.png", "--bundle", bundle)
    done = run_doggo(tmp_path / "home", *words, PYTHONPATH=mine.path)
    assert done.code == 1
    assert "raised AttributeError" in done.line()


@pytest.mark.parametrize(
    ("head", "said"),
    [("import no_such_package", "ModuleNotFoundError"), ("def (", "SyntaxError")],
)
def test_a_step_that_cannot_be_imported_is_one_line(
    tmp_path: Path, mine: Installation, head: str, said: str
) -> None:
    mine.write_step("return image_HWC", head=head)
    done = run_doggo(tmp_path / "home", "preprocess", PYTHONPATH=mine.path)
    assert done.code == 1
    assert str(mine.step) in done.line()
    assert said in done.line()


@pytest.mark.parametrize("slip", [lambda image: image.nothing, lambda image: image[:, :, 0]])
def test_the_server_blames_itself_and_its_log_says_what_to_mend(
    tmp_path: Path,
    slip: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    photo, headers = picture(COLOURS["pug"]), {"Content-Type": "image/png"}
    with Serving(FixedBundle(make_bundle(tmp_path / "colour"))) as server:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(owner_step, "process", slip)
            reply = server.client.post("/v1/predict", content=photo, headers=headers)
        assert reply.status_code == 500
        assert reply.json()["detail"] == "the server could not answer; its log says why"
        assert reply.json()["type"] == "/docs#problem-internal"
        assert "owner_step" not in reply.text
        [record] = caplog.records
        assert str(owner_step.__file__) in record.message
        assert record.exc_info is None
        assert server.client.post("/v1/predict", content=photo, headers=headers).status_code == 200
