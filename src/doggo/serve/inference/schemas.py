"""The objects of the Open Inference Protocol, as this server reads and writes them.

Owns the published shapes. Members that the protocol allows and this model has no use for are
accepted and ignored, as its other servers do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from doggo.serve.inference.answer import Name

MOST_ID = 1024
Parameters = dict[str, object]
Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]
Dimension = Annotated[int, Field(ge=0, lt=2**64)]


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True)


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class InputParameters(_Asked):
    """Of the photos: where they are."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Bytes of the binary tensor after the JSON, instead of `data`."
    )
    content_type: Literal["base64"] | None = None


class PhotoInput(_Asked):
    """The photos."""

    name: Literal["photo"]
    datatype: Literal["BYTES"]
    shape: list[Dimension] = Field(
        min_length=1, max_length=2, description="[N] or [N, 1]: how many photos.", examples=[[1]]
    )
    data: list[Base64] | list[list[Base64]] | None = Field(
        None, description="Each photo in base64, unless they follow in binary."
    )
    parameters: InputParameters | None = None

    @property
    def binary_data_size(self) -> int | None:
        """Bytes of its binary tensor; None: it has `data`."""
        return None if self.parameters is None else self.parameters.binary_data_size


class OutputParameters(_Asked):
    """Of an output that is asked for."""

    binary_data: bool | None = Field(None, description="Tell it in binary, after the JSON.")


class WantedOutput(_Asked):
    """An output that is asked for."""

    name: Name
    parameters: OutputParameters | None = None

    @property
    def binary(self) -> bool | None:
        """Whether it is wanted in binary; None: as the request says for all."""
        return None if self.parameters is None else self.parameters.binary_data


class RequestParameters(_Asked):
    """Of the whole request."""

    binary_data_output: bool | None = Field(
        None, description="Tell all outputs in binary, but those that say otherwise."
    )


class InferenceBody(_Asked):
    """What is sent to `infer`."""

    id: str | None = Field(None, max_length=MOST_ID, description="Comes back with the answer.")
    inputs: list[PhotoInput] = Field(min_length=1, max_length=1)
    outputs: list[WantedOutput] | None = Field(
        None, description="Which outputs, told once each; all if there are none."
    )
    parameters: RequestParameters | None = None

    @property
    def binary(self) -> bool:
        """Whether outputs are told in binary unless they say otherwise."""
        return bool(self.parameters and self.parameters.binary_data_output)


class TensorAnswer(_Told):
    """One output."""

    name: str = Field(examples=["breed"])
    datatype: Literal["BYTES", "FP32"]
    shape: list[int] = Field(description="[N, K] or [N]: N photos, K breeds, best first.")
    parameters: Parameters | None = Field(None, description="`binary_data_size`, if in binary.")
    data: list[str] | list[float] | None = Field(None, description="Row by row, if in JSON.")


class InferenceAnswer(_Told):
    """What the model says about the photos."""

    model_name: str
    model_version: str
    id: str | None = Field(None, description="That of the request, if it had one.")
    outputs: list[TensorAnswer]


class TensorMetadata(_Told):
    """An input or output of the model; -1: as many as you like."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(_Told):
    """The model in service."""

    name: str
    versions: list[str]
    platform: Literal["onnx_onnxv1"] = "onnx_onnxv1"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] = Field(description="`sha256` of the bundle, `runtime` in use.")


class ServerMetadata(_Told):
    """Which server this is."""

    name: Literal["doggo"] = "doggo"
    version: str
    extensions: list[str]


class Live(_Told):
    """The process answers."""

    live: Literal[True] = True


class Ready(_Told):
    """A model answers."""

    live: Literal[True] = True
    ready: Literal[True] = True


class ModelReady(_Told):
    """This model answers."""

    name: str
    ready: Literal[True] = True


class InferenceError(BaseModel):
    """Why there is no answer."""

    error: str
    reason: str | None = Field(None, description="For photos: why, as one stable word.")
