"""Threads beside a stage: they begin in time, end when asked, and what they fail at is not lost."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from doggo.alongside import WORTH_A_THREAD, Libraries, Meanwhile
from doggo.tracking.null import NullTracker


def loading() -> bool:
    return any(thread.name == "doggo-load" for thread in threading.enumerate())


def test_few_photos_load_nothing_beside() -> None:
    told: list[tuple[str, int, int]] = []
    with Libraries(NullTracker()) as libraries:
        telling = libraries.load_beside(lambda *what: told.append(what), pytest.fail)
        telling("intake", 0, WORTH_A_THREAD - 1)
        telling("intake", 500, WORTH_A_THREAD + 499)
        assert not loading()
    assert len(told) == 2


def test_many_photos_load_beside_and_once() -> None:
    with Libraries(NullTracker()) as libraries:
        telling = libraries.load_beside(lambda *_: None, lambda: None)
        telling("intake", 0, WORTH_A_THREAD)
        telling("intake", 1, WORTH_A_THREAD + 1)
        libraries.wait()
        assert not loading()
        assert "torch" in sys.modules
    assert gc.isenabled()


def test_what_fails_to_load_is_reported_where_it_is_used() -> None:
    class Broken(NullTracker):
        def prepare(self) -> None:
            raise OSError("the tracker's folder is gone")

    with Libraries(Broken()) as libraries:
        libraries.wait()
        libraries.wait()
    assert gc.isenabled()


def test_embedding_need_not_wait_for_the_rest() -> None:
    code = (
        "import sys\n"
        "from doggo.alongside import WORTH_A_THREAD, Libraries\n"
        "from doggo.tracking.null import NullTracker\n"
        "with Libraries(NullTracker()) as libraries:\n"
        "    libraries.load_beside(lambda *_: None, lambda: None)('intake', 0, WORTH_A_THREAD)\n"
        "    libraries.wait_for_networks(lambda: None)\n"
        "    import doggo.train.embedding\n"
        "    assert 'lightning.pytorch.trainer' not in sys.modules\n"
        "    libraries.wait()\n"
        "    assert 'lightning.pytorch.trainer' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_is_to_be_done_early_comes_before_the_rest_and_may_fail() -> None:
    done: list[bool] = []

    def early() -> None:
        done.append(True)
        raise OSError("no weights here")

    with Libraries(NullTracker()) as libraries:
        libraries.load_beside(lambda *_: None, early)("intake", 0, WORTH_A_THREAD)
        libraries.wait_for_networks(lambda: None)
        assert done == [True]
        libraries.wait()


def test_what_was_not_begun_beside_is_loaded_at_once() -> None:
    done: list[str] = []
    with Libraries(NullTracker()) as libraries:
        libraries.wait_for_networks(lambda: done.append(threading.current_thread().name))
        assert not loading()
    assert done == [threading.main_thread().name]


def test_meanwhile_takes_all_steps() -> None:
    taken: list[int] = []
    done = threading.Event()

    def steps() -> Iterator[None]:
        for n in range(3):
            taken.append(n)
            yield
        done.set()

    with Meanwhile(steps()):
        assert done.wait(10)
    assert taken == [0, 1, 2]


def test_meanwhile_ends_after_the_step_in_hand() -> None:
    taken: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def steps() -> Iterator[None]:
        for n in range(1000):
            begun.set()
            go_on.wait(10)
            taken.append(n)
            yield

    with Meanwhile(steps()) as meanwhile:
        begun.wait(10)
        stopping = threading.Thread(target=meanwhile.stop)
        stopping.start()
        while not meanwhile.stopping:
            pass
        go_on.set()
        stopping.join(10)
        assert taken == [0]
        meanwhile.stop()


def test_what_meanwhile_fails_at_is_left_to_others(caplog: pytest.LogCaptureFixture) -> None:
    def steps() -> Iterator[None]:
        yield
        raise OSError("the disk is full")

    with caplog.at_level(logging.INFO), Meanwhile(steps()) as meanwhile:
        meanwhile._thread.join(10)
    assert "meanwhile.failed" in caplog.text
