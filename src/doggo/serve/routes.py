"""The HTTP API: photos in, predictions out, and what an operator asks a server.

Owns the routes and their documentation. Each handler parses, calls and replies; limits are in
`upload.py`, the work is in `batcher.py`, the words for failures in `problems.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from doggo.core.errors import NoModelError, PhotoError
from doggo.core.records import Prediction
from doggo.core.wire import model_json, prediction_json
from doggo.serve.batcher import Batcher
from doggo.serve.metrics import Metrics
from doggo.serve.models import Models
from doggo.serve.problems import KINDS, MEDIA_TYPE
from doggo.serve.schemas import (
    Health,
    ModelAnswer,
    ModelName,
    PredictionAnswer,
    ProblemAnswer,
    Readiness,
    RefusedModel,
)
from doggo.serve.upload import Receive, Uploads

logger = logging.getLogger(__name__)

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


def _problems(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of these problems."""
    found: dict[int | str, dict[str, Any]] = {}
    for slug in slugs:
        kind = KINDS[slug]
        entry = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": ProblemAnswer.model_json_schema()}},
            },
        )
        if entry["description"] != kind.title:
            entry["description"] += f"; or: {kind.title[0].lower()}{kind.title[1:]}"
    return found


def api_router(
    *, models: Models, metrics: Metrics, uploads: Uploads, batcher: Callable[[], Batcher]
) -> APIRouter:
    """Return the API's routes.

    Args:
        batcher: gives the batcher, which exists only while the event loop runs.
    """
    router = APIRouter()

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
        side. What it is, is judged by its content. The answer has the three most probable
        breeds and a verdict: `breed` (sure), `unsure` (look-alikes) or `not_a_dog`."""
        data = await uploads.read(request.headers, request.receive)
        try:
            prediction = await _unless_gone(batcher().submit(data), request.receive)
        except PhotoError as error:
            metrics.rejections.labels(error.rejection.value).inc()
            raise
        metrics.latency_s.observe(prediction.latency_ms / 1000)
        metrics.verdicts.labels(prediction.verdict.value).inc()
        logger.debug("predicted prediction_id=%s", prediction.prediction_id)
        return Response(json.dumps(prediction_json(prediction)), media_type="application/json")

    @router.get(
        "/v1/model",
        summary="The model that answers",
        tags=["predictions"],
        responses=_problems("no-model"),
    )
    async def model() -> ModelAnswer:
        """Which bundle, runtime and precision answer, and which breeds it knows. `refused`
        tells of a newer bundle that could not be taken into service."""
        serving = models.current
        if serving is None:
            raise _no_model(models)
        return ModelAnswer(
            **model_json(serving.model),
            runtime=serving.pair.runtime,
            precision=serving.pair.precision,
            size_px=serving.bundle.view.size_px,
            labels=list(serving.bundle.labels),
            calibration=serving.bundle.calibration,
            refused=_refused(models),
        )

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
        serving = models.current
        if serving is None:
            raise _no_model(models)
        return Readiness(model=ModelName(**model_json(serving.model)), refused=_refused(models))

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

    return router


async def _unless_gone(answer: asyncio.Future[Prediction], receive: Receive) -> Prediction:
    """Wait for `answer`; if the client goes away first, give it up and free its place."""
    gone = asyncio.ensure_future(receive())
    gone.add_done_callback(lambda _: answer.cancel())
    try:
        return await answer
    except asyncio.CancelledError:
        if gone.done():
            raise ClientDisconnect from None
        answer.cancel()
        raise
    finally:
        gone.cancel()


def _no_model(models: Models) -> NoModelError:
    if models.refusal is None:
        return NoModelError("no model is in production yet")
    # The reason may name paths of this machine; the owner finds it in the log.
    return NoModelError("the model that should be in production was refused; the log says why")


def _refused(models: Models) -> RefusedModel | None:
    refusal = models.refusal
    if refusal is None:
        return None
    wanted = refusal.wanted.name if refusal.wanted else None
    return RefusedModel(version=wanted, reason=refusal.reason)
