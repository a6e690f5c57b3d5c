"""The HTTP API: photos in, predictions out, and what an operator asks a server.

Owns the routes and their documentation. Each handler parses, calls and replies; limits are in
`upload.py`, the work is in `batcher.py`, the words for failures in `problems.py`.
"""

from __future__ import annotations

import json
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from doggo.core.wire import model_json, prediction_json
from doggo.serve.answering import Answering
from doggo.serve.describe import replies
from doggo.serve.metrics import Metrics
from doggo.serve.models import Models
from doggo.serve.problems import MEDIA_TYPE
from doggo.serve.schemas import (
    Health,
    ModelAnswer,
    ModelName,
    PredictionAnswer,
    ProblemAnswer,
    Readiness,
    RefusedModel,
)
from doggo.serve.upload import Uploads

_problems = partial(replies, MEDIA_TYPE, ProblemAnswer)

_PREDICT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "x-codeSamples": [
        {"lang": "Shell", "source": "curl -F photo=@dog.jpg http://127.0.0.1:8000/v1/predict"},
        {
            "lang": "Shell",
            "source": "curl -H 'Content-Type: image/jpeg' --data-binary @dog.jpg "
            "http://127.0.0.1:8000/v1/predict",
        },
    ],
}


def api_router(
    *, models: Models, metrics: Metrics, uploads: Uploads, answering: Answering
) -> APIRouter:
    """Return the API's own routes; those of the Open Inference Protocol are in `inference/`."""
    router = APIRouter()
    _add_predict(router, uploads, answering)
    _add_model(router, models)
    _add_health(router, models)
    _add_metrics(router, metrics)
    return router


def _add_predict(router: APIRouter, uploads: Uploads, answering: Answering) -> None:
    @router.post(
        "/v1/predict",
        summary="Name the breed in a photo",
        tags=["predictions"],
        response_model=PredictionAnswer,
        responses=_problems(
            "bad-photo", "too-slow", "too-large", "wrong-type", "no-photo", "busy", "no-model"
        ),
        openapi_extra=_PREDICT_BODY,
    )
    async def predict(request: Request) -> Response:
        """Send the photo as the multipart field `photo`, or as the body itself: JPEG, PNG,
        WebP, HEIC, AVIF, GIF, TIFF or BMP, at most 20 MiB, 100 megapixels and 20,000 pixels a
        side; formats that take much memory or time to decode have less (WebP about 12.5
        megapixels, HEIC 25). What it is, is judged by its content. The answer has the three most
        probable breeds and a verdict: `breed` (sure), `unsure` (look-alikes, or a breed that the
        model does not know) or `not_a_dog`."""
        photo = await uploads.read(request.headers, request.receive)
        [prediction] = await answering.answer((photo,), request.receive)
        return Response(json.dumps(prediction_json(prediction)), media_type="application/json")


def _add_model(router: APIRouter, models: Models) -> None:
    @router.get(
        "/v1/model",
        summary="The model that answers",
        tags=["predictions"],
        responses=_problems("no-model"),
    )
    async def model() -> ModelAnswer:
        """Which bundle, runtime and precision answer, and which breeds it knows. `refused`
        tells of a newer bundle that could not be taken into service."""
        serving = models.in_service()
        return ModelAnswer(
            **model_json(serving.model),
            runtime=serving.pair.runtime,
            precision=serving.pair.precision,
            size_px=serving.bundle.view.size_px,
            labels=list(serving.bundle.labels),
            calibration=serving.bundle.calibration,
            refused=_refused(models),
        )


def _add_health(router: APIRouter, models: Models) -> None:
    @router.get("/healthz", summary="Is the process alive?", tags=["operation"])
    async def health() -> Health:
        """Always 200 while the event loop turns."""
        return Health()

    @router.get(
        "/readyz",
        summary="Can it answer photos?",
        tags=["operation"],
        responses=_problems("no-model"),
    )
    async def ready() -> Readiness:
        """200 once a model is in service, 503 before."""
        serving = models.in_service()
        return Readiness(model=ModelName(**model_json(serving.model)), refused=_refused(models))


def _add_metrics(router: APIRouter, metrics: Metrics) -> None:
    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        tags=["operation"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text"}},
    )
    async def read_metrics() -> Response:
        """Requests, latencies, batch sizes, queue depth, rejected photos, model and swaps."""
        return Response(metrics.text(), headers={"Content-Type": metrics.content_type})


def _refused(models: Models) -> RefusedModel | None:
    refusal = models.refusal
    if refusal is None:
        return None
    wanted = refusal.wanted.name if refusal.wanted else None
    return RefusedModel(version=wanted, reason=refusal.reason)
