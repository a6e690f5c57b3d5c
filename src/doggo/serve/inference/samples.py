"""What `/docs` and the OpenAPI document show of an inference request."""

from __future__ import annotations

from doggo.serve.describe import Responses, schema_of
from doggo.serve.inference.schemas import InferenceBody

_INFER_URL = "http://127.0.0.1:8000/v2/models/doggo/infer"

PATH_PARAMETERS: tuple[dict[str, object], ...] = (
    {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": "Of the model in service, or `doggo`.",
        "example": "doggo",
    },
    {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": "Of the model in service.",
        "example": "1",
    },
)

BINARY_ANSWER: Responses = {
    200: {
        "description": "The outputs; those wanted in binary follow the JSON.",
        "headers": {
            "Inference-Header-Content-Length": {
                "description": "Bytes of the JSON, if binary data follow it.",
                "schema": {"type": "integer", "minimum": 1},
            }
        },
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
}

INFER: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": schema_of(InferenceBody)},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "x-codeSamples": [
        {
            "lang": "Shell",
            "source": "curl --data-binary @dog.jpg -H 'Inference-Header-Content-Length: 0' "
            + _INFER_URL,
        },
        {
            "lang": "Shell",
            "source": """printf '{"inputs": [{"name": "photo", "datatype": "BYTES", """
            """"shape": [1], "data": ["%s"]}]}' "$(base64 -w0 dog.jpg)" |\n"""
            "  curl -H 'Content-Type: application/json' --data-binary @- " + _INFER_URL,
        },
    ],
}
