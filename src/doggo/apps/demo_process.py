"""The `doggo` command as processes of their own: what the demo drives.

Owns starting, asking and ending them. Nothing here imports what the commands do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from doggo.core.errors import DoggoError
from doggo.core.records import Verdict
from doggo.settings import Settings

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 30.0
_OK = 200


def run_doggo(arguments: Sequence[str], home: Path, *, alone: bool = False) -> dict[str, object]:
    """Run one `doggo ... --json` on `home` and return what it printed; its progress shows.

    A model that was made and then refused by the gate is an answer, too.

    Args:
        alone: keep everything under `home`, whatever buckets and tracker the settings name.

    Raises:
        DoggoError: it failed; its own line is on stderr already.
    """
    done = subprocess.run(
        [*_doggo(), *arguments, "--json"],
        env={**os.environ, **(_nothing_elsewhere() if alone else {}), "DOGGO_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=False,
    )
    answer = json.loads(done.stdout) if done.stdout else {}
    assert isinstance(answer, dict)
    if done.returncode and not answer.get("refused"):
        raise DoggoError(f"`doggo {arguments[0]}` ended with status {done.returncode}")
    return answer


class Server:
    """`doggo serve` on a free loopback port, for as long as the `with` block lasts.

    Attributes:
        url: where it answers, without a slash at the end.
        ready_s: seconds from its start until it was ready.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.url = ""
        self.ready_s = 0.0

    def __enter__(self) -> Server:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = tempfile.TemporaryFile()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*_doggo(), "serve", "--port", str(port)],
            env={**os.environ, "DOGGO_HOME": str(self._home)},
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait_until_ready(started)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.ready_s = time.perf_counter() - started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def predict(self, photo: bytes) -> dict[str, Any]:
        """Return the server's prediction for one photo.

        Raises:
            DoggoError: it did not answer 200 with a verdict.
        """
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/v1/predict", data=photo, headers={"Content-Type": "image/jpeg"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT_S) as answer:  # noqa: S310
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        except (OSError, HTTPException) as error:
            raise DoggoError(f"POST /v1/predict was not answered: {error}") from error
        prediction = _prediction(body) if status == _OK else None
        if prediction is None:
            said = body.decode(errors="replace")
            raise DoggoError(f"POST /v1/predict answered {status} without a verdict: {said!r}")
        return prediction

    def _wait_until_ready(self, started: float) -> None:
        while time.perf_counter() - started < _READY_TIMEOUT_S:
            if self._process.poll() is not None:
                raise DoggoError(f"`doggo serve` ended at once: {self._last_words()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.02)
        raise DoggoError(f"`doggo serve` was not ready in a minute: {self._last_words()}")

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _prediction(body: bytes) -> dict[str, Any] | None:
    """Return the body as a prediction, None if it is none."""
    try:
        said = json.loads(body)
        verdict, breeds = Verdict(said["verdict"]), said["breeds"]
    except (ValueError, KeyError, TypeError):
        return None
    assert isinstance(said, dict)
    return said if breeds or verdict is Verdict.NOT_A_DOG else None


def _nothing_elsewhere() -> dict[str, str]:
    # An empty variable also overrules a line of `.env`.
    elsewhere = (name for name in Settings.model_fields if name.endswith(("_bucket", "tracker")))
    return {f"DOGGO_{name.upper()}": "" for name in elsewhere}


def _doggo() -> list[str]:
    return [sys.executable, "-c", "from doggo.apps.cli import main; main()"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
