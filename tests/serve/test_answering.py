"""The photos of one request: one model, all or none, and given up when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from doggo.core.errors import BusyError, PhotoError, Rejection
from doggo.core.records import ModelRef, Prediction, Verdict
from doggo.serve.answering import Answering
from doggo.serve.batcher import Batcher
from doggo.serve.metrics import Metrics
from doggo.vision.verdict import Evidence


class Echo:
    """A small model: the prediction's id is the photo. Holds still until told to decode."""

    photos_together = 1

    def __init__(self, name: str = "echo") -> None:
        self.ref = ModelRef(name=name, version=1, sha256="0" * 64)
        self.may_decode = threading.Event()
        self.may_decode.set()

    def view(self, data: bytes) -> NDArray[np.uint8]:
        self.may_decode.wait(10)
        if data == b"bad":
            raise PhotoError(Rejection.BROKEN, "damaged")
        return np.full((1, 1, 3), data[0], np.uint8)

    def infer_here(self, images_NHWC: NDArray[np.uint8]) -> list[Evidence]:
        return [
            Evidence(probabilities_K=row_K, dog_mass=1.0, known_share=1.0)
            for row_K in images_NHWC[:, 0, 0].astype(np.float32)
        ]

    def answer(self, seen: Evidence, *, started_at: float) -> Prediction:
        return Prediction(
            prediction_id=chr(int(seen.probabilities_K[0])),
            model=self.ref,
            verdict=Verdict.BREED,
            breeds=(),
            dog_mass=seen.dog_mass,
            latency_ms=1.0,
        )


async def stays() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("never")


def scenario(
    play: Callable[[Answering, Batcher, Echo, Metrics], Awaitable[None]], queue_size: int = 4
) -> None:
    async def run() -> None:
        model, metrics = Echo(), Metrics()
        batcher = Batcher(lambda: model, queue_size=queue_size, runners=2)
        await play(Answering(lambda: batcher, metrics), batcher, model, metrics)
        model.may_decode.set()
        await batcher.close()

    asyncio.run(run())


def test_answers_come_in_the_order_of_the_photos() -> None:
    async def play(answering: Answering, _b: Batcher, _m: Echo, _x: Metrics) -> None:
        answers = await answering.answer([b"a", b"b", b"c", b"d"], stays)
        assert "".join(one.prediction_id for one in answers) == "abcd"

    scenario(play)


def test_photos_that_do_not_all_fit_are_not_taken_in_at_all() -> None:
    async def play(answering: Answering, batcher: Batcher, model: Echo, _x: Metrics) -> None:
        model.may_decode.clear()
        waiting = batcher.submit(b"a")
        with pytest.raises(BusyError):
            await answering.answer([b"b"] * 4, stays)
        assert batcher.depth == 1
        model.may_decode.set()
        await waiting
        assert len(await answering.answer([b"b"] * 4, stays)) == 4

    scenario(play)


def test_the_first_bad_photo_is_the_one_that_is_named() -> None:
    async def play(answering: Answering, batcher: Batcher, _m: Echo, metrics: Metrics) -> None:
        for _ in range(20):  # whichever is decoded first
            with pytest.raises(PhotoError, match="photo 2 of 4: damaged"):
                await answering.answer([b"a", b"bad", b"c", b"bad"], stays)
        with pytest.raises(PhotoError, match=r"^damaged$"):
            await answering.answer([b"bad"], stays)
        assert b'doggo_rejected_photos_total{reason="broken"} 21.0' in metrics.text()
        assert batcher.depth == 0

    scenario(play)


def test_a_bad_photo_leaves_nothing_for_the_collector() -> None:
    async def play(answering: Answering, _b: Batcher, _m: Echo, _x: Metrics) -> None:
        for photos in ([b"bad"], [b"a", b"bad", b"bad"]):
            with contextlib.suppress(PhotoError):
                await answering.answer(photos, stays)

    def errors() -> int:
        # By type: asking lazy modules for their class would load what they stand for.
        return sum(type(one) is PhotoError for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = errors()
        scenario(play)
        assert errors() == before
    finally:
        gc.enable()


def test_what_was_not_told_is_not_counted() -> None:
    async def play(answering: Answering, _b: Batcher, _m: Echo, metrics: Metrics) -> None:
        with pytest.raises(PhotoError):
            await answering.answer([b"a", b"bad"], stays)
        assert b"doggo_prediction_seconds_count 0.0" in metrics.text()
        await answering.answer([b"a", b"b"], stays)
        assert b"doggo_prediction_seconds_count 2.0" in metrics.text()

    scenario(play)


def test_one_model_looks_at_all_photos_of_a_request() -> None:
    async def play(answering: Answering, _b: Batcher, _m: Echo, _x: Metrics) -> None:
        other = Echo("other")
        answers = await answering.answer([b"a", b"b", b"c"], stays, other)
        assert {one.model.name for one in answers} == {"other"}

    scenario(play)


def test_a_client_that_leaves_frees_all_its_places() -> None:
    async def play(answering: Answering, batcher: Batcher, model: Echo, _x: Metrics) -> None:
        model.may_decode.clear()
        gone = asyncio.Event()

        async def leaves() -> MutableMapping[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        asked = asyncio.ensure_future(answering.answer([b"a"] * 4, leaves))
        await asyncio.sleep(0)
        assert batcher.depth == 4
        gone.set()
        with pytest.raises(ClientDisconnect):
            await asked
        assert batcher.depth == 0

    scenario(play)


def test_a_server_that_gives_up_frees_the_places_too() -> None:
    async def play(answering: Answering, batcher: Batcher, model: Echo, _x: Metrics) -> None:
        model.may_decode.clear()
        asked = asyncio.ensure_future(answering.answer([b"a"] * 3, stays))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0)
        assert batcher.depth == 0

    scenario(play)
