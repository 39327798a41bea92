"""Figures for Prometheus. With several server processes name a folder in PROMETHEUS_MULTIPROC_DIR
(prometheus-client's own variable), empty at each start; without it a process tells of itself alone."""

import os
import time
from collections.abc import Callable

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30)


class Metrics:
    """Counts requests by route (never by path, which would be one series a check) and status."""

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        """`gauges`: name → (help, what reads its value when asked)."""
        self.registry = CollectorRegistry()
        self._gauges = gauges
        self._requests = Counter(
            "aidetect_requests_total",
            "Answers by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "aidetect_request_seconds",
            "Seconds until an answer's headers, waiting included",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def count(self, response: Response) -> Response:
        route = str(request.url_rule) if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, response.status_code).inc()
        self._seconds.labels(route).observe(time.perf_counter() - g.started)
        return response

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        registry = self.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        for name, (text, value) in self._gauges.items():
            # Not the multi-process kind: these are read afresh, and are the same from each process.
            gauge = Gauge(f"aidetect_{name}", text, registry=now)
            gauge.set_function(value)
        return generate_latest(registry) + generate_latest(now)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def init_metrics(app: Flask, gauges: dict[str, tuple[str, Callable[[], float]]]) -> Metrics:
    metrics = Metrics(gauges)
    app.after_request(metrics.count)
    return metrics


def metrics_response(metrics: Metrics) -> Response:
    return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)
