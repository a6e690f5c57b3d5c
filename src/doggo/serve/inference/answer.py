"""Predictions become the tensors of an inference answer.

Owns the outputs, their datatypes and shapes, in JSON and in binary. Pure; knows nothing of
requests or models.

Legend: N photos, K breeds shown of each.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from doggo.core.records import ModelRef, Prediction

Name = Literal["breed", "probability", "verdict", "dog_mass", "prediction_id"]
Values = Sequence[str | float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One output of the model.

    Attributes:
        a_breed: one value for each breed shown, so [N, K]; otherwise [N].
        of: gives a photo's values.
    """

    datatype: str
    a_breed: bool
    of: Callable[[Prediction], Values]


OUTPUTS: dict[Name, Output] = {
    "breed": Output(datatype="BYTES", a_breed=True, of=lambda p: [b.breed for b in p.shown]),
    "probability": Output(
        datatype="FP32", a_breed=True, of=lambda p: [b.probability for b in p.shown]
    ),
    "verdict": Output(datatype="BYTES", a_breed=False, of=lambda p: [p.verdict.value]),
    "dog_mass": Output(datatype="FP32", a_breed=False, of=lambda p: [p.dog_mass]),
    "prediction_id": Output(datatype="BYTES", a_breed=False, of=lambda p: [p.prediction_id]),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An output to be told, in binary or in JSON."""

    name: Name
    binary: bool


def answer(
    predictions: Sequence[Prediction],
    outputs: Sequence[Wanted],
    *,
    model: ModelRef,
    request_id: str | None,
) -> tuple[bytes, int | None]:
    """Return the body of the answer, and the length of its JSON if binary data follow it.

    Args:
        predictions: of N photos, all by `model`.
    """
    described, binary = [], []
    for output in outputs:
        tensor, values = _tensor(output.name, predictions)
        if output.binary:
            data = b"".join(_element(value) for value in values)
            described.append({**tensor, "parameters": {"binary_data_size": len(data)}})
            binary.append(data)
        else:
            described.append({**tensor, "data": values})
    body = {
        "model_name": model.name,
        "model_version": str(model.version),
        **({} if request_id is None else {"id": request_id}),
        "outputs": described,
    }
    text = json.dumps(body).encode()
    return b"".join((text, *binary)), len(text) if binary else None


def _tensor(name: Name, predictions: Sequence[Prediction]) -> tuple[dict[str, object], Values]:
    output = OUTPUTS[name]
    shape = [len(predictions), *([len(predictions[0].shown)] if output.a_breed else [])]
    values = [value for prediction in predictions for value in output.of(prediction)]
    return {"name": name, "datatype": output.datatype, "shape": shape}, values


def _element(value: str | float) -> bytes:
    if isinstance(value, str):
        data = value.encode()
        return struct.pack("<I", len(data)) + data
    return struct.pack("<f", value)
