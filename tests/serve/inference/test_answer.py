"""Predictions become tensors, the same in JSON and in binary."""

from __future__ import annotations

import json
import struct
from typing import Any, get_args

import pytest

from doggo.core.records import BreedProbability, ModelRef, Prediction, Verdict
from doggo.serve.inference.answer import OUTPUTS, Name, Wanted, answer

MODEL = ModelRef(name="tiny", version=3, sha256="0" * 64)


def prediction(best: str, mass: float) -> Prediction:
    return Prediction(
        prediction_id=f"id-of-{best}",
        model=MODEL,
        verdict=Verdict.BREED,
        breeds=(
            BreedProbability(breed=best, probability=0.75),
            BreedProbability(breed="pug", probability=0.25),
        ),
        dog_mass=mass,
        latency_ms=1.0,
    )


TWO = [prediction("beagle", 0.5), prediction("boxer", 1.0)]


def told(*outputs: Wanted, request_id: str | None = None) -> tuple[dict[str, Any], bytes]:
    body, json_bytes = answer(TWO, outputs, model=MODEL, request_id=request_id)
    head = body if json_bytes is None else body[:json_bytes]
    return json.loads(head), body[len(head) :]


def values(datatype: str, data: bytes) -> list[Any]:
    if datatype == "FP32":
        return [value for (value,) in struct.iter_unpack("<f", data)]
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


@pytest.mark.parametrize(
    ("name", "datatype", "shape", "expected"),
    [
        ("breed", "BYTES", [2, 2], ["beagle", "pug", "boxer", "pug"]),
        ("probability", "FP32", [2, 2], [0.75, 0.25, 0.75, 0.25]),
        ("verdict", "BYTES", [2], ["breed", "breed"]),
        ("dog_mass", "FP32", [2], [0.5, 1.0]),
        ("prediction_id", "BYTES", [2], ["id-of-beagle", "id-of-boxer"]),
    ],
)
def test_an_output_is_the_same_in_json_and_in_binary(
    name: Name, datatype: str, shape: list[int], expected: list[Any]
) -> None:
    plain, nothing = told(Wanted(name=name, binary=False))
    described = {"name": name, "datatype": datatype, "shape": shape}
    assert plain["outputs"] == [{**described, "data": expected}]
    assert nothing == b""
    head, data = told(Wanted(name=name, binary=True))
    assert head["outputs"] == [{**described, "parameters": {"binary_data_size": len(data)}}]
    assert values(datatype, data) == expected


def test_binary_data_follow_in_the_order_of_the_outputs() -> None:
    head, data = told(
        Wanted(name="dog_mass", binary=True),
        Wanted(name="breed", binary=False),
        Wanted(name="verdict", binary=True),
    )
    assert [output["name"] for output in head["outputs"]] == ["dog_mass", "breed", "verdict"]
    assert values("FP32", data[:8]) == [0.5, 1.0]
    assert values("BYTES", data[8:]) == ["breed", "breed"]


def test_it_names_the_model_and_the_request() -> None:
    named, _ = told(Wanted(name="breed", binary=False), request_id="")
    assert (named["model_name"], named["model_version"], named["id"]) == ("tiny", "3", "")
    unnamed, _ = told(Wanted(name="breed", binary=False))
    assert "id" not in unnamed


def test_every_name_has_an_output() -> None:
    assert set(get_args(Name)) == set(OUTPUTS)
