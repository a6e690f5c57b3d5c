"""Work in processes that may die: order, and what becomes of the task that kills one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from doggo.core.errors import PhotoError, StorageError
from doggo.vision.workers import Lost, Workers

TARGETS = """
import ctypes, os, time
from doggo.core.errors import PhotoError, Rejection

def work(task):
    kind, value = task
    if kind == "crash":
        os.abort()
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        time.sleep(600)
    if kind == "raise":
        raise ValueError(value)
    if kind == "refuse":
        raise PhotoError(Rejection.BROKEN, value)
    if kind == "slow":
        time.sleep(value)
    return value, os.getpid()
"""

Task = tuple[str, object]


@pytest.fixture(autouse=True)
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doggo_test_targets.py").write_text(TARGETS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def pool(count: int = 2, timeout_s: float = 60.0) -> Workers[Task, tuple[object, int]]:
    return Workers("doggo_test_targets:work", count=count, timeout_s=timeout_s)


def answers(tasks: list[Task | None], **options: float) -> Iterator[object]:
    with pool(**options) as workers:  # type: ignore[arg-type]
        for context, answer in workers.map(enumerate(tasks)):
            yield context, answer[0] if isinstance(answer, tuple) else answer


def test_answers_keep_the_order_of_the_tasks() -> None:
    tasks: list[Task | None] = [("slow", 0.3), *(("value", number) for number in range(30))]
    assert list(answers(tasks)) == list(enumerate([0.3, *range(30)]))


def test_no_process_starts_where_there_is_no_work() -> None:
    others = psutil.Process().children()  # of tests that ran before in this process
    with pool() as workers:
        assert list(workers.map([("a", None), ("b", None)])) == [("a", None), ("b", None)]
        assert psutil.Process().children() == others


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("crash", "died with SIGABRT"),
        ("exit", "ended with exit code 3"),
        ("raise", "ValueError: odd"),
    ],
)
def test_only_the_task_that_kills_its_process_is_lost(kind: str, reason: str) -> None:
    tasks: list[Task | None] = [("value", number) for number in range(12)]
    tasks[4] = (kind, "odd")
    got = dict(answers(tasks))
    assert got.pop(4) == Lost(reason)
    assert got == {number: number for number in range(12) if number != 4}


def test_a_task_that_hangs_is_given_up() -> None:
    tasks: list[Task | None] = [("value", 0), ("hang", None), ("value", 2), ("value", 3)]
    got = dict(answers(tasks, timeout_s=1.0))
    assert got == {0: 0, 1: Lost("took more than 1 s"), 2: 2, 3: 3}


def test_an_error_of_ours_reaches_the_caller() -> None:
    others = psutil.Process().children()
    with pytest.raises(PhotoError, match="this one"):
        list(answers([("value", 0), ("refuse", "this one")]))
    assert psutil.Process().children() == others


def test_a_target_that_cannot_be_imported_is_not_blamed_on_the_task() -> None:
    workers = Workers[Task, object]("doggo_no_such_module:work", count=1)
    with pytest.raises(StorageError, match=r"cannot start a decoding process.*No module"), workers:
        list(workers.map([(0, ("value", 0))]))


def test_the_processes_are_shared_and_end_with_the_pool() -> None:
    with pool() as workers:
        pids = {answer[1] for _, answer in workers.map((n, ("slow", 0.01)) for n in range(20))}  # type: ignore[index]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_tasks_are_taken_as_needed() -> None:
    taken = []

    def endless() -> Iterator[tuple[int, Task]]:
        number = 0
        while True:
            taken.append(number)
            yield number, ("value", number)
            number += 1

    with pool() as workers:
        stream = workers.map(endless())
        assert [next(stream)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) < 20


def test_processes_die_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "from doggo.vision.workers import Workers\n"
        "pool = Workers('doggo_test_targets:work', count=2)\n"
        "for number, _ in pool.map((n, ('slow', 5 if n > 1 else 0)) for n in range(9)):\n"
        "    print(number, flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    children = psutil.Process(parent.pid).children()
    assert children
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    began = time.monotonic()
    _, alive = psutil.wait_procs(children, timeout=4)
    assert not alive, f"alive {time.monotonic() - began:.1f} s after their parent"
