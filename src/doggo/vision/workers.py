"""A map over work in processes that a hostile picture may kill.

Owns the processes: they start when there is work, keep the order of the answers, die with their
parent even if it is killed, and may crash or hang without stopping the run. Knows nothing of
what they compute: a target is named as `module:function`, takes one task and returns one answer.

The processes are plain `python -m` children rather than `multiprocessing` ones, because those
import the parent's main script again and do not say which task a dead child was working on.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import IO, Generic, TypeVar, cast

from doggo.core.errors import DoggoError, StorageError
from doggo.vision.cores import available_cores

Context = TypeVar("Context")
Task = TypeVar("Task")
Answer = TypeVar("Answer")

_READY = "ready"
_HELD_TASKS = 4  # a process has its next tasks at hand while the parent is busy
_START_TIMEOUT_S = 120.0
_NICENESS = 10  # the parent settles what they decode and must never wait for a core
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Pictures are allocated and freed by the thousand: glibc shall keep the memory at hand
    # (a tenth of a decoding process's time, 2026-11).
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
    "MALLOC_TOP_PAD_": str(16 * 2**20),
}


@dataclass(frozen=True, slots=True)
class Lost:
    """In the place of an answer: the task killed its process, hung, or raised.

    Attributes:
        reason: what happened, in words.
    """

    reason: str


class Workers(Generic[Task, Answer]):
    """A few processes that run one function over many tasks.

    Args:
        target: `module:function` of the function; its module is imported in the children only.
        count: processes; 0 means one a core.
        timeout_s: seconds after which a task counts as hung and its process is killed.
    """

    def __init__(self, target: str, *, count: int = 0, timeout_s: float = 300.0) -> None:
        self.target = target
        self.count = count or available_cores()
        self.timeout_s = timeout_s
        self._processes: list[_Process] = []

    def __enter__(self) -> Workers[Task, Answer]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.stop()
        self._processes.clear()

    def start(self) -> None:
        """Start all processes now rather than with the first tasks."""
        while len(self._processes) < self.count:
            self._processes.append(_Process(self.target))

    def map(
        self, tasks: Iterable[tuple[Context, Task | None]]
    ) -> Iterator[tuple[Context, Answer | Lost | None]]:
        """Yield (context, answer) in the order of the tasks, which are taken as needed.

        The context stays in this process. A task of None is answered with None without a
        process, so work that turns out to be nothing keeps its place in the order.

        Raises:
            DoggoError: a task raised it, or the processes cannot be started.
        """
        source = iter(tasks)
        order: deque[_Job] = deque()
        exhausted = False
        while True:
            while not exhausted and len(order) < self._window:
                following = next(source, None)
                if following is None:
                    exhausted = True
                    break
                job = _Job(*following)
                order.append(job)
                if job.task is not None:
                    self._give(job)
                if order[0].done:
                    break  # an answer waits: hand it out before taking more
            while order and order[0].done:
                ready = order.popleft()
                yield cast("tuple[Context, Answer | Lost | None]", (ready.context, ready.answer))
            if not order and exhausted:
                return
            if order and (exhausted or len(order) >= self._window):
                self._listen()

    @property
    def _window(self) -> int:
        return self.count * _HELD_TASKS

    def _give(self, job: _Job) -> None:
        while True:
            idle = min(self._processes, key=lambda process: len(process.jobs), default=None)
            if (idle is None or idle.jobs) and len(self._processes) < self.count:
                idle = _Process(self.target)
                self._processes.append(idle)
            assert idle is not None
            if len(idle.jobs) < _HELD_TASKS and idle.give(job):
                return
            self._listen()

    def _listen(self) -> None:
        """Wait for at least one message, and take all that are there."""
        deadline = min(process.deadline(self.timeout_s) for process in self._processes)
        connections = {process.connection: process for process in self._processes}
        heard = wait(list(connections), timeout=max(0.0, deadline - time.monotonic()))
        for connection in heard:
            process = connections[cast("Connection", connection)]
            if not process.hear():
                self._bury(process, process.epitaph())
        if not heard:
            for process in list(self._processes):
                if process.deadline(self.timeout_s) <= time.monotonic():
                    self._bury(process, f"took more than {self.timeout_s:.0f} s")

    def _bury(self, process: _Process, reason: str) -> None:
        """Drop a dead process: the task at its head is lost, the others go to another one."""
        self._processes.remove(process)
        never_ready = not process.ready
        complaint = process.stop()
        if never_ready:
            raise StorageError(f"cannot start a decoding process ({reason}): {complaint}")
        jobs = list(process.jobs)
        if jobs:
            jobs[0].finish(Lost(reason))
        for job in jobs[1:]:
            self._give(job)


class _Job:
    """A task on its way, and its answer once there."""

    def __init__(self, context: object, task: object) -> None:
        self.context = context
        self.task = task
        self.answer: object = None
        self.done = task is None

    def finish(self, answer: object) -> None:
        self.answer = answer
        self.done = True


class _Process:
    """One child, its connection and the tasks it has not answered yet."""

    def __init__(self, target: str) -> None:
        self.connection, theirs = Pipe()
        self.jobs: deque[_Job] = deque()
        self.ready = False
        self.since = time.monotonic()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        # -P: a photo folder that holds a `numpy.py` must not be imported from.
        command = [sys.executable, "-P", "-m", "doggo.vision.workers"]
        self._child = subprocess.Popen(
            [*command, str(theirs.fileno()), target, str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            env={**os.environ, **_ENVIRONMENT},
        )
        theirs.close()

    def give(self, job: _Job) -> bool:
        """Send a task; False if the process is dead."""
        if not self.jobs:
            self.since = time.monotonic()
        try:
            self.connection.send(job.task)
        except OSError:
            return False
        self.jobs.append(job)
        return True

    def hear(self) -> bool:
        """Take one message; False if the process is dead."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return False
        self.since = time.monotonic()
        if message == _READY:
            self.ready = True
            return True
        kind, answer = message
        if kind == "refused":
            raise answer
        self.jobs.popleft().finish(Lost(answer) if kind == "raised" else answer)
        return True

    def deadline(self, timeout_s: float) -> float:
        if not self.ready:
            return self.since + _START_TIMEOUT_S
        return self.since + timeout_s if self.jobs else float("inf")

    def epitaph(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._child.wait(timeout=5)
            if code < 0:
                return f"died with {signal.Signals(-code).name}"
            return f"ended with exit code {code}"
        return "closed its connection"

    def stop(self) -> str:
        """End the process; return the last line of what it wrote to its standard error."""
        self.connection.close()
        self._child.kill()  # its work is done or unwanted, and waiting for it takes longer
        self._child.wait()
        with self._stderr as stderr:
            stderr.seek(0)
            lines = stderr.read()[-4000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, so none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Serve tasks from the connection given on the command line until it closes."""
    descriptor, target, parent = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    _die_with(int(parent))
    os.nice(_NICENESS)
    module, name = target.split(":")
    function = getattr(importlib.import_module(module), name)
    connection = Connection(int(descriptor))
    with contextlib.suppress(EOFError, OSError):
        connection.send(_READY)
        while True:
            task = connection.recv()
            try:
                message = ("answer", function(task))
            except DoggoError as error:
                message = ("refused", error)
            except Exception as error:  # noqa: BLE001 - a decoder may raise anything: the task is lost
                message = ("raised", f"{type(error).__name__}: {error}")
            connection.send(message)


if __name__ == "__main__":
    main()
