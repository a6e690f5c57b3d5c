"""Photos that arrive one by one, answered by a few threads.

Owns the queue and its threads. Knows nothing of HTTP. A photo's way: `submit` on the event loop
→ a runner, which decodes it and looks at it → back to the event loop. A runner takes a second
photo along if the runtime is quicker with two and more photos are inside than there are runners,
without ever waiting for one. The event loop itself never decodes or computes.

There is one runner more than cores, so that a core that is done finds the next photo. Measured
with lite0 in bf16 on two cores, 8 connections (November 2026, medians of 14 interleaved runs):
211 photos/s; 196 with a runner a core, 196 with decoding threads of their own besides; 170 with
photos alone, a runner a core.

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

from doggo.core.errors import BusyError, DoggoError, NoModelError
from doggo.core.records import Prediction
from doggo.vision.cores import available_cores
from doggo.vision.verdict import Evidence


class Model(Protocol):
    """The part of a `Predictor` that the batcher drives; each step is thread-safe."""

    @property
    def photos_together(self) -> int: ...

    def view(self, data: bytes) -> NDArray[np.uint8]: ...

    def infer_here(self, images_NHWC: NDArray[np.uint8]) -> list[Evidence]: ...

    def answer(self, seen: Evidence, *, started_at: float) -> Prediction: ...


class _Job:
    """One photo on its way, and the model that looks at it from the first step to the last."""

    __slots__ = ("data", "future", "model", "started_at")

    def __init__(self, data: bytes, model: Model, future: asyncio.Future[Prediction]) -> None:
        self.data = data
        self.model = model
        self.future = future
        self.started_at = time.perf_counter()


_Outcome = tuple[_Job, Prediction | Exception]


class Batcher:
    """Answers photos of many clients with one model. Made, used and closed on one event loop.

    Args:
        current: gives the model in service, or None; asked once a photo, so a model that is
            swapped in takes the next photo and the old one finishes its own.
        queue_size: photos that may be inside at once.
        queue_bytes: their bytes: 64 photos at their limit would be 1.3 GB.
        runners: threads that answer; 0: one a core, and one more.
        observe_batch: told how many photos went through the network together, from a runner.
    """

    def __init__(
        self,
        current: Callable[[], Model | None],
        *,
        queue_size: int,
        queue_bytes: int = 256 * 2**20,
        runners: int = 0,
        observe_batch: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._current = current
        self._queue_size, self._queue_bytes = queue_size, queue_bytes
        self._observe_batch = observe_batch
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._inside = self._inside_bytes = 0
        self._seconds_per_photo = 0.01  # of one runner
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._runners = [
            threading.Thread(target=self._run, name=f"doggo-run-{i}", daemon=True)
            for i in range(runners or available_cores() + 1)
        ]
        for thread in self._runners:
            thread.start()

    @property
    def depth(self) -> int:
        """Photos inside: waiting, being decoded or being looked at."""
        return self._inside

    def submit(self, data: bytes) -> asyncio.Future[Prediction]:
        """Take in one photo: `submit_all` of one."""
        return self.submit_all((data,))[0]

    def submit_all(
        self, photos: Sequence[bytes], model: Model | None = None
    ) -> list[asyncio.Future[Prediction]]:
        """Take in all photos or none; cancelling a future frees its place at once.

        A future fails with PhotoError if its picture cannot be used.

        Args:
            model: looks at all of them; None: the one in service now.

        Raises:
            NoModelError: nothing is in service.
            BusyError: the queue has not that many places or bytes, or the server is closing.
        """
        model = model or self._current()
        if model is None:
            raise NoModelError(
                "no model is in production yet: run `doggo bootstrap`, or train one with "
                "`doggo run PHOTOS`; this server picks it up by itself"
            )
        if self._closing or not self._has_room(photos):
            raise BusyError(self._retry_after_s())
        return [self._take_in(data, model) for data in photos]

    def _has_room(self, photos: Sequence[bytes]) -> bool:
        more_bytes = sum(map(len, photos))
        return (
            self._inside + len(photos) <= self._queue_size
            and self._inside_bytes + more_bytes <= self._queue_bytes
        )

    def _take_in(self, data: bytes, model: Model) -> asyncio.Future[Prediction]:
        job = _Job(data, model, self._loop.create_future())
        job.future.add_done_callback(lambda _: self._leave(job))
        self._inside += 1
        self._inside_bytes += len(data)
        self._empty.clear()
        self._inbox.put(job)
        return job.future

    def _leave(self, job: _Job) -> None:
        self._inside_bytes -= len(job.data)
        job.data = b""  # a cancelled job may still lie in the queue
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()

    async def close(self) -> None:
        """Answer what is inside, accept nothing more, and end the threads."""
        self._closing = True
        await self._empty.wait()
        for _ in self._runners:
            self._inbox.put(None)
        for thread in self._runners:
            await asyncio.to_thread(thread.join)

    def _retry_after_s(self) -> int:
        seconds = self._inside * self._seconds_per_photo / len(self._runners)
        return max(1, math.ceil(seconds))

    def _run(self) -> None:
        while (first := self._inbox.get()) is not None:
            self._run_one(self._gather(first))
            del first  # a thread that waits must not keep a swapped-out model alive

    def _gather(self, first: _Job) -> list[_Job]:
        """Return `first` and, if more are inside than runners, what waits for the same model."""
        batch = [first]
        most = first.model.photos_together if self._inside > len(self._runners) else 1
        while len(batch) < most:
            try:
                job = self._inbox.get_nowait()
            except Empty:
                break
            if job is None or job.model is not first.model:
                # The end, or a model was swapped in: that is for the next round.
                self._inbox.put(job)
                break
            batch.append(job)
        return batch

    def _run_one(self, batch: Sequence[_Job]) -> None:
        began = time.perf_counter()
        seen = [(job, image) for job in batch if (image := self._view(job)) is not None]
        if not seen:
            return
        self._deliver(_answers(seen))
        spent_s = (time.perf_counter() - began) / len(seen)
        self._seconds_per_photo += 0.1 * (spent_s - self._seconds_per_photo)
        self._observe_batch(len(seen))

    def _view(self, job: _Job) -> NDArray[np.uint8] | None:
        """Return what the network sees of a photo; None if that was all to be done for it."""
        if job.future.cancelled():
            return None
        try:
            return job.model.view(job.data)
        except DoggoError as error:
            # Its frames hold the photo and this job, which holds the error: 20 MiB in a circle.
            self._deliver([(job, error.with_traceback(None))])
            return None
        except Exception as error:  # noqa: BLE001 - goes to the caller, whatever it is
            self._deliver([(job, error)])
            return None

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _answers(seen: Sequence[tuple[_Job, NDArray[np.uint8]]]) -> list[_Outcome]:
    model = seen[0][0].model
    try:
        evidence = model.infer_here(np.stack([image for _, image in seen]))
        return [
            (job, model.answer(found, started_at=job.started_at))
            for (job, _), found in zip(seen, evidence, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - goes to the callers, whatever it is
        return [(job, error) for job, _ in seen]


def _settle(outcomes: list[_Outcome]) -> None:
    for job, outcome in outcomes:
        if job.future.done():
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
