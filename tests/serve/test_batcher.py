"""Photos of many callers go through one model together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from doggo.core.errors import BusyError, NoModelError, PhotoError, Rejection
from doggo.core.records import BreedProbability, ModelRef, Prediction, Verdict
from doggo.serve.batcher import Batcher
from doggo.vision.verdict import Evidence


class FirstByte:
    """A small model: a photo's answer is its first byte over 255. Holds still when told to."""

    photos_together = 2

    def __init__(self, name: str = "first-byte") -> None:
        self.ref = ModelRef(name=name, version=1, sha256="0" * 64)
        self.may_decode = threading.Event()
        self.may_decode.set()
        self.may_run = threading.Event()
        self.may_run.set()
        self.batches: list[int] = []
        self.decoded = 0

    def view(self, data: bytes) -> NDArray[np.uint8]:
        self.may_decode.wait(10)
        if not data:
            raise PhotoError(Rejection.EMPTY, "the file is empty")
        self.decoded += 1
        return np.full((2, 2, 3), data[0], np.uint8)

    def infer_here(self, images_NHWC: NDArray[np.uint8]) -> list[Evidence]:
        self.may_run.wait(10)
        self.batches.append(len(images_NHWC))
        if (images_NHWC == 13).any():
            raise RuntimeError("thirteen")
        share_N = images_NHWC[:, 0, 0, 0].astype(np.float32) / 255
        return [
            Evidence(probabilities_K=np.array([share, 1 - share]), dog_mass=1.0, known_share=1.0)
            for share in share_N
        ]

    def answer(self, seen: Evidence, *, started_at: float) -> Prediction:
        return Prediction(
            prediction_id="p",
            model=self.ref,
            verdict=Verdict.BREED,
            breeds=(BreedProbability(breed="a", probability=float(seen.probabilities_K[0])),),
            dog_mass=seen.dog_mass,
            latency_ms=(time.perf_counter() - started_at) * 1000,
        )


def share(prediction: Prediction) -> int:
    return round(prediction.breeds[0].probability * 255)


def scenario(
    play: Callable[[Batcher, FirstByte], Awaitable[None]],
    queue_size: int = 64,
    runners: int = 1,
    queue_bytes: int = 2**20,
) -> FirstByte:
    model = FirstByte()

    async def run() -> None:
        batcher = Batcher(
            lambda: model, queue_size=queue_size, queue_bytes=queue_bytes, runners=runners
        )
        await play(batcher, model)
        model.may_decode.set()
        model.may_run.set()
        await batcher.close()

    asyncio.run(run())
    return model


def test_everyone_gets_the_answer_for_their_own_photo() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        for start in range(0, 240, 60):
            values = range(start + 14, start + 15 + 59)
            answers = await asyncio.gather(*(batcher.submit(bytes([v % 256])) for v in values))
            assert [share(answer) for answer in answers] == [v % 256 for v in values]

    scenario(play)


def test_when_photos_wait_two_go_together_and_nothing_waits_for_more() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        assert share(await batcher.submit(b"\x20")) == 0x20
        model.may_decode.clear()
        waiting = [batcher.submit(bytes([40 + i])) for i in range(18)]
        model.may_decode.set()
        await asyncio.gather(*waiting)

    batches = scenario(play).batches
    assert batches[0] == 1  # alone: it did not wait for company
    assert sum(batches) == 19
    # The runner may have taken the first of the 18 before the second was there.
    assert batches[2:-1] == [2] * len(batches[2:-1])
    assert len(batches) <= 11


def test_while_there_is_a_runner_for_each_photo_they_go_alone() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        for _ in range(20):
            await asyncio.gather(*(batcher.submit(bytes([i + 20])) for i in range(3)))

    assert scenario(play, runners=3).batches == [1] * 60


def test_a_full_queue_says_when_to_come_back_and_recovers() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        model.may_run.clear()
        waiting = [batcher.submit(b"\x50") for _ in range(4)]
        with pytest.raises(BusyError) as busy:
            batcher.submit(b"\x51")
        assert busy.value.retry_after_s >= 1
        model.may_run.set()
        await asyncio.gather(*waiting)
        assert share(await batcher.submit(b"\x52")) == 0x52

    scenario(play, queue_size=4)


class Slow(FirstByte):
    """Takes its time for each photo."""

    photo_s = 0.1

    def view(self, data: bytes) -> NDArray[np.uint8]:
        time.sleep(self.photo_s)
        return super().view(data)


def test_who_is_sent_away_may_come_back_when_all_runners_together_are_through() -> None:
    async def run() -> None:
        model = Slow()
        batcher = Batcher(lambda: model, queue_size=40, runners=4)
        await asyncio.gather(*(batcher.submit(b"\x50") for _ in range(24)))  # it learns the pace
        model.may_run.clear()
        waiting = [batcher.submit(b"\x50") for _ in range(40)]  # 4 s of one runner
        with pytest.raises(BusyError) as busy:
            batcher.submit(b"\x51")
        assert busy.value.retry_after_s <= 2
        model.photo_s = 0
        model.may_run.set()
        await asyncio.gather(*waiting)
        await batcher.close()

    asyncio.run(run())


def test_a_queue_full_of_bytes_is_full_and_recovers() -> None:
    photo = b"\x50" * 1000

    async def play(batcher: Batcher, model: FirstByte) -> None:
        model.may_run.clear()
        waiting = [batcher.submit(photo) for _ in range(3)]
        with pytest.raises(BusyError):
            batcher.submit(photo)
        waiting[-1].cancel()
        await asyncio.sleep(0)
        waiting[-1] = batcher.submit(photo)
        model.may_run.set()
        await asyncio.gather(*waiting)
        assert share(await batcher.submit(b"\x52" * 3000)) == 0x52

    scenario(play, queue_bytes=3000)


def test_a_cancelled_photo_frees_its_place_at_once_and_is_not_looked_at() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        model.may_decode.clear()
        waiting = [batcher.submit(b"\x60") for _ in range(4)]
        for one in waiting:
            one.cancel()
        await asyncio.sleep(0)
        assert batcher.depth == 0
        answer = batcher.submit(b"\x61")
        model.may_decode.set()
        assert share(await answer) == 0x61

    assert scenario(play, queue_size=4).batches == [1]


def test_a_photo_that_cannot_be_read_fails_alone() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        good, bad = batcher.submit(b"\x70"), batcher.submit(b"")
        with pytest.raises(PhotoError):
            await bad
        assert share(await good) == 0x70

    scenario(play)


def test_a_model_that_breaks_fails_its_batch_and_the_next_one_runs() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        with pytest.raises(RuntimeError, match="thirteen"):
            await batcher.submit(b"\x0d")
        assert share(await batcher.submit(b"\x71")) == 0x71

    scenario(play)


def test_without_a_model_it_says_so() -> None:
    async def run() -> None:
        batcher = Batcher(lambda: None, queue_size=4)
        with pytest.raises(NoModelError, match="doggo bootstrap"):
            batcher.submit(b"x")
        await batcher.close()

    asyncio.run(run())


def test_a_photo_keeps_the_model_it_began_with() -> None:
    async def run() -> None:
        old, new = FirstByte("old"), FirstByte("new")
        serving = [old]
        batcher = Batcher(lambda: serving[0], queue_size=64)
        old.may_run.clear()
        first = [batcher.submit(bytes([i + 20])) for i in range(9)]
        while not old.decoded:
            await asyncio.sleep(0.001)
        serving[0] = new
        second = [batcher.submit(bytes([i + 30])) for i in range(10)]
        old.may_run.set()
        answers = await asyncio.gather(*first, *second)
        assert [answer.model.name for answer in answers] == ["old"] * 9 + ["new"] * 10
        assert [share(answer) for answer in answers] == [*range(20, 29), *range(30, 40)]
        await batcher.close()

    asyncio.run(run())


def test_a_model_that_was_swapped_out_is_let_go() -> None:
    async def run() -> None:
        serving = [FirstByte("old")]
        batcher = Batcher(lambda: serving[0], queue_size=64)
        await asyncio.gather(*(batcher.submit(bytes([i + 20])) for i in range(20)))
        old = weakref.ref(serving[0])
        serving[0] = FirstByte("new")
        for _ in range(1000):
            gc.collect()
            if old() is None:
                break
            await asyncio.sleep(0.01)
        assert old() is None
        await batcher.close()

    asyncio.run(run())


def test_closing_answers_what_is_inside_and_takes_no_more() -> None:
    async def run() -> None:
        model = FirstByte()
        before = set(threading.enumerate())
        batcher = Batcher(lambda: model, queue_size=64)
        model.may_run.clear()
        inside = [batcher.submit(bytes([i + 20])) for i in range(12)]
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            batcher.submit(b"x")
        model.may_run.set()
        await closing
        assert [share(answer) for answer in await asyncio.gather(*inside)] == [*range(20, 32)]
        left = set(threading.enumerate()) - before
        assert not any(thread.name.startswith("doggo-") for thread in left)

    asyncio.run(run())


def test_the_event_loop_turns_while_a_photo_is_decoded() -> None:
    async def play(batcher: Batcher, model: FirstByte) -> None:
        model.may_decode.clear()
        answer = batcher.submit(b"\x33")
        turns = 0
        while turns < 100:  # would hang here if decoding held the loop
            await asyncio.sleep(0)
            turns += 1
        assert not answer.done()
        model.may_decode.set()
        assert share(await answer) == 0x33

    scenario(play)
