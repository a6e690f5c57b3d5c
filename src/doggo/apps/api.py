"""The server's app: puts the routes, the pages and the guards together.

Owns the order in which a request passes them and the life of the batcher. Each part is in
`serve/`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from doggo import __version__
from doggo.core.errors import BundleError, DoggoError
from doggo.serve.answering import Answering
from doggo.serve.batcher import Batcher
from doggo.serve.exposure import Exposure, ExposureGate, parse_public
from doggo.serve.head import HeadAsGet
from doggo.serve.inference.routes import inference_router
from doggo.serve.metrics import CountRequests, Metrics
from doggo.serve.models import NO_MODEL_YET, FixedBundle, Models, ModelSource
from doggo.serve.pages import add_pages
from doggo.serve.problems import ProblemError, problem_of
from doggo.serve.routes import api_router
from doggo.serve.run import run
from doggo.serve.upload import Uploads
from doggo.settings import Settings
from doggo.vision.predictor import Predictor

if TYPE_CHECKING:
    from doggo.apps.bot import ServedBot  # half a second that a server without a bot need not wait

logger = logging.getLogger(__name__)

_CLIENT_GONE = 499  # nobody reads it; the metrics show it


def serve(
    source: ModelSource,
    settings: Settings,
    *,
    host: str,
    port: int,
    say: Callable[[str], None],
    bot: ServedBot | None = None,
) -> None:
    """Serve the page, the API and the metrics until SIGTERM or SIGINT.

    Args:
        source: which bundle to serve; a change of production is followed while serving.
        say: told one line once photos can be sent.
        bot: answers Telegram in this process too.

    Raises:
        BundleError: one fixed bundle was asked for and cannot be used.
        UsageError: the port is taken, or the settings for the outside do not fit together.
    """
    metrics = Metrics()
    models = watch_models(source, metrics)
    models.look()
    if isinstance(source, FixedBundle) and models.refusal is not None:
        raise BundleError(models.refusal.reason)
    app = create_app(models, settings, metrics, bot)

    def ready(url: str) -> None:
        serving = models.current
        what = NO_MODEL_YET if serving is None else f"{serving.model.name} {serving.pair.name}"
        say(f"doggo: serving {what} at {url}  (Ctrl-C stops)")

    run(app, host=host, port=port, ready=ready)


def watch_models(source: ModelSource, metrics: Metrics) -> Models:
    """Return the models of `source`, telling `metrics` about every swap."""

    def swapped(model: Predictor) -> None:
        metrics.swaps.labels("ok").inc()
        metrics.show_model(
            name=model.model.name,
            version=model.model.version,
            sha256=model.model.sha256,
            runtime=model.pair.name,
        )

    return Models(
        source,
        on_swap=swapped,
        on_refusal=lambda _: metrics.swaps.labels("failed").inc(),
    )


def create_app(
    models: Models,
    settings: Settings,
    metrics: Metrics | None = None,
    bot: ServedBot | None = None,
) -> FastAPI:
    """Return the app that answers photos with `models`, and Telegram with `bot`.

    Raises:
        UsageError: the settings for the outside do not fit together.
    """
    metrics = metrics or Metrics()
    exposure = Exposure(
        paths=parse_public(settings.public),
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        per_minute=settings.public_per_minute,
    )
    batchers: list[Batcher] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = Batcher(
            lambda: models.current,
            queue_size=settings.queue_size,
            observe_batch=metrics.batch_size.observe,
        )
        metrics.watch_queue(lambda: batcher.depth)
        batchers.append(batcher)
        models.start()
        async with AsyncExitStack() as stack:
            if bot is not None:
                await stack.enter_async_context(bot.at_work(models, batcher.submit, metrics))
            yield
        await asyncio.to_thread(models.stop)
        await batcher.close()

    app = FastAPI(
        title="doggo",
        version=__version__,
        description="Names the breed of the dog in a photo.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy the address it would name is wrong
    )
    uploads = Uploads()
    answering = Answering(lambda: batchers[-1], metrics)
    app.include_router(
        api_router(models=models, metrics=metrics, uploads=uploads, answering=answering)
    )
    app.include_router(
        inference_router(
            models=models, uploads=uploads, answering=answering, most_photos=settings.queue_size
        )
    )
    if bot is not None:
        app.router.routes.insert(0, bot.route)
    add_pages(app)
    _tell_problems(app)
    app.add_middleware(ExposureGate, exposure=exposure)
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(HeadAsGet)
    return app


def _tell_problems(app: FastAPI) -> None:
    def told(problem: ProblemError, request: Request) -> Response:
        return problem.response(request.scope["path"])

    @app.exception_handler(DoggoError)
    async def known(request: Request, error: DoggoError) -> Response:
        problem = problem_of(error)
        if problem.kind.slug == "internal":
            logger.error("request_failed error=%s", error)
        return told(problem, request)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
        return told(ProblemError(slug, str(error.detail), headers=_allow(error)), request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return told(ProblemError("bad-request", "a parameter is missing or malformed"), request)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        # Starlette raises it again after this answer, so the traceback reaches the log.
        words = "the server could not answer; its log says why"
        return told(ProblemError("internal", words), request)


def _allow(error: HTTPException) -> Mapping[str, str] | None:
    if error.status_code != 405:
        return error.headers
    methods = (error.headers or {}).get("Allow", "GET")  # static files do not say what they answer
    return {"Allow": "GET, HEAD" if methods == "GET" else methods}
