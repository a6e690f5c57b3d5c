"""The photos of one request, answered together: all of them, or the reason for the first not.

Owns what lies between a route and the batcher: giving up when the client leaves, and counting.
Knows nothing of how photos came or how answers are written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from starlette.requests import ClientDisconnect

from doggo.core.errors import PhotoError
from doggo.core.records import Prediction
from doggo.serve.batcher import Batcher, Model
from doggo.serve.metrics import Metrics
from doggo.serve.upload import Receive

logger = logging.getLogger(__name__)


class Answering:
    """Asks the batcher on behalf of clients.

    Args:
        batcher: gives the batcher, which exists only while the event loop runs.
    """

    def __init__(self, batcher: Callable[[], Batcher], metrics: Metrics) -> None:
        self._batcher = batcher
        self._metrics = metrics

    async def answer(
        self, photos: Sequence[bytes], receive: Receive, model: Model | None = None
    ) -> list[Prediction]:
        """Return an answer for each photo.

        Args:
            receive: the ASGI channel of a request whose body was read whole.
            model: looks at all of them; None: the one in service now.

        Raises:
            PhotoError: a photo cannot be used; of several, the first one's.
            NoModelError, BusyError: nothing was taken in.
            ClientDisconnect: the client went away; its places are free again.
        """
        answers = self._batcher().submit_all(photos, model)
        predictions = []
        for place, outcome in enumerate(await _unless_gone(answers, receive), start=1):
            if isinstance(outcome, PhotoError):
                self._metrics.rejections.labels(outcome.rejection.value).inc()
                raise _named(outcome, place, len(photos))
            if isinstance(outcome, BaseException):
                raise outcome
            predictions.append(outcome)
        for prediction in predictions:
            self._count(prediction)
        return predictions

    def _count(self, prediction: Prediction) -> None:
        self._metrics.latency_s.observe(prediction.latency_ms / 1000)
        self._metrics.verdicts.labels(prediction.verdict.value).inc()
        logger.debug("predicted prediction_id=%s", prediction.prediction_id)


async def _unless_gone(
    answers: Sequence[asyncio.Future[Prediction]], receive: Receive
) -> list[Prediction | BaseException]:
    """Wait for all of `answers`; if the client goes away first, give them up."""

    def give_up(_: object) -> None:
        for answer in answers:
            answer.cancel()

    gone = asyncio.ensure_future(receive())
    gone.add_done_callback(give_up)
    try:
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        if any(answer.cancelled() for answer in answers):
            raise ClientDisconnect
        return outcomes
    finally:
        gone.cancel()


def _named(error: PhotoError, place: int, photos: int) -> PhotoError:
    # Always another one: raised from here, the error itself would hold the frame that holds it,
    # and the photo with it, until the collector comes by.
    return PhotoError(
        error.rejection, str(error) if photos == 1 else f"photo {place} of {photos}: {error}"
    )
