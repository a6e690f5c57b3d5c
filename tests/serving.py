"""A real server in a thread: uvicorn, the app and a model, on a free loopback port."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

import httpx

from doggo.apps.api import create_app, watch_models
from doggo.apps.bot import ServedBot
from doggo.serve.metrics import Metrics
from doggo.serve.models import ModelSource
from doggo.serve.run import run
from doggo.settings import Settings


class Serving:
    """The server while the `with` block lasts.

    Attributes:
        url: where it answers.
        client: an HTTP client for it.
        models: what it serves; `look()` makes it look at its source now.
    """

    def __init__(
        self, source: ModelSource, bot: ServedBot | None = None, **settings: object
    ) -> None:
        metrics = Metrics()
        self.models = watch_models(source, metrics)
        self.models.look()
        chosen = Settings(_env_file=None, **settings)  # type: ignore[call-arg,arg-type]
        self._app = create_app(self.models, chosen, metrics, bot)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stop: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run)
        self.url = ""

    def __enter__(self) -> Serving:
        self._thread.start()
        assert self._ready.wait(60), "the server did not start"
        if self._failure is not None:
            raise self._failure
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._stop()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    def predict(self, photo: bytes) -> httpx.Response:
        """Send a photo as a multipart form."""
        return self.client.post("/v1/predict", files={"photo": ("p", photo, "image/png")})

    def metric(self, line: str) -> float:
        """Return the value of one line of /metrics."""
        found = [
            row for row in self.client.get("/metrics").text.splitlines() if row.startswith(line)
        ]
        assert len(found) == 1, (line, found)
        return float(found[0].rpartition(" ")[2])

    def _run(self) -> None:
        try:
            run(self._app, host="127.0.0.1", port=0, ready=self._is_ready, stop_after=self._keep)
        except BaseException as error:  # told to the thread that waits
            self._failure = error
            self._ready.set()
            raise

    def _is_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()

    def _keep(self, stop: Callable[[], None]) -> None:
        self._stop = stop
