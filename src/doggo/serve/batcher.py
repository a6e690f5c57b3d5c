"""Photos that arrive one by one go through the network together.

Owns the queue, its threads and the batches. Knows nothing of HTTP. A photo's way: `submit` on
the event loop → a decoding thread (the decoders release the interpreter's lock) → a runner,
which takes whatever is waiting, at most as many photos as are computed at once, without ever
waiting for more → back to the event loop, once a batch. The event loop itself never decodes or
computes.

There are two runners, and a batch may be one larger than there are cores, so that a core that
is done finds the next photo. Measured with lite0 in bf16 on two cores, 8 connections (November
2026, medians of 9 interleaved runs): 238 photos/s, the slowest hundredth after 49 ms; 205 and
51 ms with batches of 2; 193 with one runner and batches of 4.

Legend: N photos of a batch, K breeds.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import BusyError, NoModelError
from doggo.core.records import Prediction
from doggo.vision.runtime import available_cores

RUNNERS = 2


class Model(Protocol):
    """The part of a `Predictor` that the batcher drives; each step is thread-safe."""

    def view(self, data: bytes) -> NDArray[np.uint8]: ...

    def infer(
        self, images_NHWC: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

    def answer(
        self, probabilities_K: NDArray[np.float32], dog_mass: float, *, started_at: float
    ) -> Prediction: ...


class _Job:
    """One photo on its way, and the model that looks at it from the first step to the last."""

    __slots__ = ("data", "future", "image_HWC", "model", "started_at")

    def __init__(self, data: bytes, model: Model, future: asyncio.Future[Prediction]) -> None:
        self.data = data
        self.model = model
        self.future = future
        self.image_HWC: NDArray[np.uint8] | None = None
        self.started_at = time.perf_counter()


class Batcher:
    """Answers photos of many clients with one model. Made, used and closed on one event loop.

    Args:
        current: gives the model in service, or None; asked once a photo, so a model that is
            swapped in takes the next photo and the old one finishes its own.
        queue_size: photos that may be inside at once.
        max_batch: most photos of a batch; 0: one a core, and one more.
        decoders: decoding threads; 0: one a core, at least two (one slow photo must not hold
            up the others).
        runners: threads that take batches.
        observe_batch: told the size of each batch, from a runner's thread.
    """

    def __init__(
        self,
        current: Callable[[], Model | None],
        *,
        queue_size: int,
        max_batch: int = 0,
        decoders: int = 0,
        runners: int = RUNNERS,
        observe_batch: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._current = current
        self._queue_size = queue_size
        self._max_batch = max_batch or available_cores() + 1
        self._observe_batch = observe_batch
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._ready: SimpleQueue[_Job | None] = SimpleQueue()
        self._inside = 0
        self._seconds_per_photo = 0.01
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._decoders = [
            threading.Thread(target=self._decode, name=f"doggo-decode-{i}", daemon=True)
            for i in range(decoders or max(2, available_cores()))
        ]
        self._runners = [
            threading.Thread(target=self._run, name=f"doggo-run-{i}", daemon=True)
            for i in range(runners)
        ]
        for thread in (*self._decoders, *self._runners):
            thread.start()

    @property
    def depth(self) -> int:
        """Photos inside: waiting, being decoded or being looked at."""
        return self._inside

    def submit(self, data: bytes) -> asyncio.Future[Prediction]:
        """Take in one photo; cancelling the future frees its place at once.

        The future fails with PhotoError if the picture cannot be used.

        Raises:
            NoModelError: nothing is in service.
            BusyError: the queue is full, or the server is closing.
        """
        model = self._current()
        if model is None:
            raise NoModelError(
                "no model is in production yet: run `doggo bootstrap`, or train one with "
                "`doggo run PHOTOS`; this server picks it up by itself"
            )
        if self._closing or self._inside >= self._queue_size:
            raise BusyError(self._retry_after_s())
        job = _Job(data, model, self._loop.create_future())
        job.future.add_done_callback(lambda _: self._leave(job))
        self._inside += 1
        self._empty.clear()
        self._inbox.put(job)
        return job.future

    def _leave(self, job: _Job) -> None:
        job.data = b""  # a cancelled job may still lie in the queue
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()

    async def close(self) -> None:
        """Answer what is inside, accept nothing more, and end the threads."""
        self._closing = True
        await self._empty.wait()
        for _ in self._decoders:
            self._inbox.put(None)
        for _ in self._runners:
            self._ready.put(None)
        for thread in (*self._decoders, *self._runners):
            await asyncio.to_thread(thread.join)

    def _retry_after_s(self) -> int:
        return max(1, math.ceil(self._inside * self._seconds_per_photo))

    def _decode(self) -> None:
        while (job := self._inbox.get()) is not None:
            self._decode_one(job)
            del job  # a thread that waits must not keep a swapped-out model alive

    def _decode_one(self, job: _Job) -> None:
        if job.future.cancelled():
            return
        try:
            job.image_HWC = job.model.view(job.data)
        except Exception as error:  # noqa: BLE001 - goes to the caller, whatever it is
            self._deliver([(job, error)])
        else:
            self._ready.put(job)

    def _run(self) -> None:
        while (first := self._ready.get()) is not None:
            batch = [job for job in self._gather(first) if not job.future.cancelled()]
            if batch:
                self._run_one(batch)
            del first, batch  # as above

    def _run_one(self, batch: Sequence[_Job]) -> None:
        began = time.perf_counter()
        self._deliver(self._answer(batch))
        spent_s = (time.perf_counter() - began) / len(batch)
        self._seconds_per_photo += 0.1 * (spent_s - self._seconds_per_photo)
        self._observe_batch(len(batch))

    def _gather(self, first: _Job) -> list[_Job]:
        """Return `first` and what else is ready for the same model."""
        batch = [first]
        while len(batch) < self._max_batch:
            try:
                job = self._ready.get_nowait()
            except Empty:
                break
            if job is None or job.model is not first.model:
                # The end, or a model was swapped in: that is for the next round.
                self._ready.put(job)
                break
            batch.append(job)
        return batch

    @staticmethod
    def _answer(batch: Sequence[_Job]) -> list[tuple[_Job, Prediction | Exception]]:
        model = batch[0].model
        try:
            images_NHWC = np.stack([job.image_HWC for job in batch if job.image_HWC is not None])
            probabilities_NK, dog_mass_N = model.infer(images_NHWC)
            return [
                (job, model.answer(row_K, float(mass), started_at=job.started_at))
                for job, row_K, mass in zip(batch, probabilities_NK, dog_mass_N, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - goes to the callers, whatever it is
            return [(job, error) for job in batch]

    def _deliver(self, outcomes: list[tuple[_Job, Prediction | Exception]]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[tuple[_Job, Prediction | Exception]]) -> None:
    for job, outcome in outcomes:
        if job.future.done():
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
