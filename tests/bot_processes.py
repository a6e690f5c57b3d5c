"""Bots as real processes, for rehearsals in which they are killed, and a wire to cut."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.rehearsing import PATIENCE_S, TOKEN, wait_for
from tests.tiny_bundle import make_bundle

from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def bundles(home: Path) -> BundleStore:
    """Return the bundles of a home."""
    return BundleStore(Bucket(home / "buckets" / "bundles"))


def add_bundle(home: Path, *, turn: int = 0, promote: bool = True) -> int:
    """Add a colour network, as a new version; `turn` makes it answer otherwise."""
    store = bundles(home)
    folder = home / "made" / os.urandom(4).hex()
    folder.parent.mkdir(parents=True, exist_ok=True)
    version = store.add(make_bundle(folder, turn=turn), {})
    if promote:
        store.move(version, why="test", actor="test")
    return version


class BotProcess:
    """`doggo ...` in a process of its own.

    Attributes:
        started_at: of `time.monotonic`.
    """

    def __init__(self, home: Path, telegram_url: str, *words: str, **env: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = (home / f"log-{os.urandom(4).hex()}.txt").open("w+")
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "doggo", *words],
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "DOGGO_HOME": str(home),
                "DOGGO_TELEGRAM_URL": telegram_url,
                "TELE_API_KEY": TOKEN,
                **env,
            },
            cwd=home,  # away from a developer's .env
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> BotProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.said()[-5000:])
        self.kill()
        self._log.close()

    def said(self) -> str:
        """Return all that it wrote, stderr as well."""
        return Path(self._log.name).read_text()

    def ready(self) -> BotProcess:
        """Wait until it answers."""
        wait_for(lambda: "(Ctrl-C stops)" in self.said() or self.code is not None, what="the start")
        assert self.code is None, self.said()
        return self

    def freeze(self, still: bool) -> None:
        """Let the process stand still, or go on."""
        self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait(self, within_s: float = PATIENCE_S) -> int:
        return self._process.wait(within_s)

    def terminate(self) -> int:
        """Ask it to end; returns its exit code."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """kill -9, if it still lives."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(30)


def serving(home: Path, telegram_url: str, port: int, **env: str) -> BotProcess:
    """Start the server with a webhook on its own port."""
    hook = f"http://127.0.0.1:{port}"
    words = ("serve", "--port", str(port), "--webhook", hook)
    return BotProcess(home, telegram_url, *words, **env)


def polling(home: Path, telegram_url: str, **env: str) -> BotProcess:
    """Start the bot that polls."""
    return BotProcess(home, telegram_url, "bot", "run", **env)


class Wire:
    """A TCP forwarder between bot and simulator that can be cut, and joined again."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.join()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def join(self) -> None:
        """Forward from now on."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections; new ones are refused."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()
