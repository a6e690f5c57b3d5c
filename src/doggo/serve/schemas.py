"""The answers of the HTTP API, for its documentation.

Owns the published shapes. The predictions themselves are written by `core/wire.py`; a test
holds both together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ModelName(_Answer):
    """Which model answered."""

    name: str = Field(examples=["efficientnet_lite0"])
    version: int = Field(examples=[1])
    sha256: str = Field(description="Of the sealed bundle.json.")


class Breed(_Answer):
    """A breed and how likely it is."""

    breed: str = Field(description="snake_case key of the label list.", examples=["samoyed"])
    probability: float = Field(ge=0, le=1, description="Calibrated.")


class PredictionAnswer(_Answer):
    """What the model says about one photo."""

    prediction_id: str
    model: ModelName
    verdict: Literal["breed", "unsure", "not_a_dog"]
    breeds: list[Breed] = Field(description="Best first: three, or all labels if fewer.")
    latency_ms: float = Field(description="From the last byte to the answer, queueing included.")


class RefusedModel(_Answer):
    """A bundle that should be served and cannot be; the one before it goes on answering."""

    version: str | None
    reason: str


class ModelAnswer(_Answer):
    """The model in service."""

    name: str
    version: int
    sha256: str
    runtime: str = Field(examples=["onnxruntime", "openvino"])
    precision: str = Field(examples=["f32", "bf16"])
    size_px: int = Field(description="Side of the square that the network looks at.")
    labels: list[str] = Field(description="Keys of the breeds it knows.")
    calibration: str = Field(description="What its probabilities were fitted on.")
    refused: RefusedModel | None = None


class Health(_Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(_Answer):
    """A model answers."""

    status: Literal["ready"] = "ready"
    model: ModelName
    refused: RefusedModel | None = None


class ProblemAnswer(BaseModel):
    """RFC 9457: why there is no answer."""

    type: str = Field(description="Points at the problem's line in /docs.")
    title: str
    status: int
    detail: str
    reason: str | None = Field(None, description="For photos: why, as one stable word.")
