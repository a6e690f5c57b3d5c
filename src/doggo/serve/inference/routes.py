"""The Open Inference Protocol: what clients of other model servers ask, under `/v2`.

Owns its routes and their documentation. A body becomes photos in `request.py`, predictions
become tensors in `answer.py`; limits, queue and model are those of `/v1/predict`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from doggo import __version__
from doggo.core.records import SHOWN_BREEDS
from doggo.serve.answering import Answering
from doggo.serve.describe import replies
from doggo.serve.inference.answer import OUTPUTS, answer
from doggo.serve.inference.request import InferenceRequest, parse
from doggo.serve.inference.samples import BINARY_ANSWER, INFER, PATH_PARAMETERS
from doggo.serve.inference.schemas import (
    InferenceAnswer,
    InferenceError,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from doggo.serve.models import Models
from doggo.serve.problems import ProblemError
from doggo.serve.upload import Uploads
from doggo.vision.predictor import Predictor

ANY_MODEL = "doggo"
"""The name that always means the model in service: promotions change the others."""

_JSON_LENGTH = "inference-header-content-length"
_BODIES = ("application/json", "application/octet-stream", "application/x-www-form-urlencoded", "")
_ON_LOOP_BYTES = 256 * 1024  # a body of this size is parsed in a millisecond

_REFUSALS = (
    "bad-photo",
    "bad-request",
    "not-found",
    "too-slow",
    "too-large",
    "wrong-type",
    "busy",
    "no-model",
)

_errors = partial(replies, "application/json", InferenceError)


def inference_router(
    *, models: Models, uploads: Uploads, answering: Answering, most_photos: int
) -> APIRouter:
    """Return the routes under `/v2`.

    Args:
        most_photos: of one request; as many as the queue has places.
    """
    router = APIRouter(tags=["open inference protocol"])
    inference = Inference(uploads, answering, most_photos)
    _add_server(router, models)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        _add_model(router, path, models)
        _add_infer(router, path, models, inference)
    return router


class Inference:
    """Reads a request's photos and writes the answer."""

    def __init__(self, uploads: Uploads, answering: Answering, most_photos: int) -> None:
        self._uploads = uploads
        self._answering = answering
        self._most_photos = most_photos
        # Each needs three times its size, and all would wait for the interpreter's lock.
        self._one_large = asyncio.Semaphore(1)

    async def read(self, request: Request) -> InferenceRequest:
        """Return what the body asks.

        Raises:
            ProblemError, BusyError, ClientDisconnect: there is no such thing to be had.
        """
        json_bytes = _json_bytes(request.headers)
        async with self._uploads.hold(request.headers, request.receive) as body:
            work = partial(parse, body, json_bytes, most_photos=self._most_photos)
            if len(body) <= _ON_LOOP_BYTES:
                return work()
            async with self._one_large:
                return await asyncio.to_thread(work)

    async def reply(self, asked: InferenceRequest, model: Predictor, request: Request) -> Response:
        """Return the answer that `model` gives."""
        predictions = await self._answering.answer(asked.photos, request.receive, model)
        body, json_bytes = answer(
            predictions, asked.outputs, model=model.model, request_id=asked.id
        )
        if json_bytes is None:
            return Response(body, media_type="application/json")
        return Response(
            body,
            media_type="application/octet-stream",
            headers={"Inference-Header-Content-Length": str(json_bytes)},
        )


def _add_server(router: APIRouter, models: Models) -> None:
    @router.get("/v2", summary="Which server this is")
    @router.get("/v2/", include_in_schema=False)
    async def server() -> ServerMetadata:
        """Its name, version and what it can beyond the protocol: tensors in binary."""
        return ServerMetadata(version=__version__, extensions=["binary_tensor_data"])

    @router.get("/v2/health/live", summary="Is the process alive?")
    async def live() -> Live:
        """Always 200 while the event loop turns."""
        return Live()

    @router.get("/v2/health/ready", summary="Can it answer photos?", responses=_errors("no-model"))
    async def ready() -> Ready:
        """200 once a model is in service, 503 before."""
        models.in_service()
        return Ready()


def _add_model(router: APIRouter, path: str, models: Models) -> None:
    responses = _errors("not-found", "no-model")

    @router.get(
        path,
        summary="What the model takes and gives",
        responses=responses,
        openapi_extra=_parameters(path),
    )
    async def metadata(request: Request) -> ModelMetadata:
        """`name` is that of the model in service, or `doggo`, which always means it. An input
        `photo` and the outputs, with their datatypes and shapes."""
        return _metadata(_named(models, request))

    @router.get(
        f"{path}/ready",
        summary="Does this model answer?",
        responses=responses,
        openapi_extra=_parameters(path),
    )
    async def model_ready(request: Request) -> ModelReady:
        """200 while it is in service."""
        return ModelReady(name=_named(models, request).model.name)


def _add_infer(router: APIRouter, path: str, models: Models, inference: Inference) -> None:
    @router.post(
        f"{path}/infer",
        summary="Name the breeds in photos",
        response_model=InferenceAnswer,
        responses={**BINARY_ANSWER, **_errors(*_REFUSALS)},
        openapi_extra={**INFER, **_parameters(path)},
    )
    async def infer(request: Request) -> Response:
        """One input, `photo`: BYTES of the shape [N] or [N, 1], each element a photo as
        `/v1/predict` takes it, in base64. With the header `Inference-Header-Content-Length` the
        photos follow the JSON in binary; if it is 0, the body is one photo. All photos of a
        request get their answers from one model, or the request is refused whole."""
        _named(models, request)  # before the body is read
        asked = await inference.read(request)
        return await inference.reply(asked, _named(models, request), request)


def _parameters(path: str) -> dict[str, object]:
    return {"parameters": [one for one in PATH_PARAMETERS if f"{{{one['name']}}}" in path]}


def _named(models: Models, request: Request) -> Predictor:
    """Return the model that the path names.

    Raises:
        ProblemError: another one is in service.
        NoModelError: none is.
    """
    serving = models.in_service()
    asked = request.path_params
    known = (ANY_MODEL, serving.model.name)
    version = str(serving.model.version)
    if asked["name"] not in known or asked.get("version", version) != version:
        raise ProblemError(
            "not-found",
            f"in service is {serving.model.name}, version {version}; as "
            f"'{ANY_MODEL}' without a version you always reach what is",
        )
    return serving


def _metadata(model: Predictor) -> ModelMetadata:
    shown = min(SHOWN_BREEDS, len(model.bundle.labels))
    return ModelMetadata(
        name=model.model.name,
        versions=[str(model.model.version)],
        inputs=[TensorMetadata(name="photo", datatype="BYTES", shape=[-1])],
        outputs=[
            TensorMetadata(
                name=name, datatype=output.datatype, shape=[-1, shown] if output.a_breed else [-1]
            )
            for name, output in OUTPUTS.items()
        ],
        properties={"sha256": model.model.sha256, "runtime": model.pair.name},
    )


def _json_bytes(headers: Mapping[str, str]) -> int | None:
    """Return the length of the JSON that the headers tell, None if they tell of no binary data.

    Raises:
        ProblemError: the headers announce a body that is not read here.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # The published examples send what curl says of any body: a form.
    if kind not in _BODIES or headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(
            "wrong-type",
            "send application/json, or application/octet-stream with "
            "Inference-Header-Content-Length; neither compressed",
        )
    told = headers.get(_JSON_LENGTH)
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= 12):
        raise ProblemError("bad-request", "Inference-Header-Content-Length: not a number of bytes")
    return int(told)
