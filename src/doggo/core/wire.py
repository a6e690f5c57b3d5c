"""Records as JSON: one shape for the command line, HTTP and the database."""

from __future__ import annotations

from typing import TypedDict

from doggo.core.records import ModelRef, Prediction


class ModelJson(TypedDict):
    name: str
    version: int
    sha256: str


class BreedJson(TypedDict):
    breed: str
    probability: float


class PredictionJson(TypedDict):
    prediction_id: str
    model: ModelJson
    verdict: str
    breeds: list[BreedJson]
    latency_ms: float


def model_json(model: ModelRef) -> ModelJson:
    """Return which model it is, as plain data."""
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def prediction_json(prediction: Prediction) -> PredictionJson:
    """Return a prediction as plain data, in the order of the contract."""
    return {
        "prediction_id": prediction.prediction_id,
        "model": model_json(prediction.model),
        "verdict": prediction.verdict.value,
        "breeds": [
            {"breed": item.breed, "probability": item.probability} for item in prediction.shown
        ],
        "latency_ms": prediction.latency_ms,
    }
