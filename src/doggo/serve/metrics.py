"""What the server counts, for Prometheus.

Owns the names of the metrics and their registry (one per app, so that several apps live in one
process). Knows nothing of how requests are answered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16)


class Metrics:
    """The counters of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "doggo_requests",
            "Requests answered.",
            ("route", "status"),
            registry=self.registry,
        )
        self.latency_s = Histogram(
            "doggo_prediction_seconds",
            "From a photo's last byte to its answer, queueing included.",
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "doggo_batch_photos",
            "Photos that went through the network together.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.verdicts = Counter(
            "doggo_verdicts", "Predictions by verdict.", ("verdict",), registry=self.registry
        )
        self.updates = Counter(
            "doggo_bot_updates",
            "Updates from Telegram that were new.",
            ("kind",),
            registry=self.registry,
        )
        self.rejections = Counter(
            "doggo_rejected_photos",
            "Photos that could not be read, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.swaps = Counter(
            "doggo_model_swaps",
            "Bundles taken into service or refused.",
            ("result",),
            registry=self.registry,
        )
        self.model = Gauge(
            "doggo_model_info",
            "1 for the model that answers.",
            ("name", "version", "sha256", "runtime"),
            registry=self.registry,
        )
        self._waiting = Gauge(
            "doggo_waiting_photos", "Photos waiting or being looked at.", registry=self.registry
        )
        self._backlog = Gauge(
            "doggo_bot_backlog", "Updates and replies in hand.", ("what",), registry=self.registry
        )
        for result in ("ok", "failed"):
            self.swaps.labels(result)  # shown as 0 before the first one

    def watch_queue(self, depth: Callable[[], float]) -> None:
        """Read the queue's depth from `depth` whenever the metrics are fetched."""
        self._waiting.set_function(depth)

    def watch_bot(self, backlog: Callable[[], tuple[int, int]]) -> None:
        """Read updates and replies in hand from `backlog` whenever the metrics are fetched."""
        for place, what in enumerate(("updates", "replies")):
            self._backlog.labels(what).set_function(partial(_place, backlog, place))

    def show_model(self, *, name: str, version: int, sha256: str, runtime: str) -> None:
        """Say which model answers from now on."""
        self.model.clear()
        self.model.labels(name, str(version), sha256, runtime).set(1)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _place(backlog: Callable[[], tuple[int, int]], place: int) -> int:
    return backlog()[place]


class CountRequests:
    """ASGI middleware that counts answers by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._requests = metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Only known routes become labels: a scanner must not make endless series.
                route = getattr(scope.get("route"), "path", "other")
                self._requests.labels(route, message["status"]).inc()
            await send(message)

        await self.app(scope, receive, count)
