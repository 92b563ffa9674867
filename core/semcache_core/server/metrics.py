"""Counts for Prometheus: requests as they pass, and the cache's own when they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semcache_core.cache import SemanticCache

log = logging.getLogger("semcache.server")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The counters of one server; no text, no key and no tenant's name is in them."""

    def __init__(self, cache: SemanticCache) -> None:
        self._registry = CollectorRegistry()
        labels = ("endpoint", "cache")
        self.requests = Counter(
            "semcache_requests",
            "Requests by endpoint, what the cache said, and status.",
            (*labels, "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "semcache_request_seconds",
            "From a request's first byte to the last of its answer.",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.active = Gauge(
            "semcache_requests_active", "Requests under way.", registry=self._registry
        )
        self._registry.register(_Cache(cache))

    def text(self) -> bytes:
        """Prometheus' text format. Reads the record's figures."""
        return generate_latest(self._registry)


class _Cache(Collector):
    """What the cache counted, as it is at the moment."""

    def __init__(self, cache: SemanticCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        stats = self._cache.stats()
        yield _counter(
            "semcache_hits",
            "Hits.",
            "kind",
            {"exact": stats.exact_hits, "semantic": stats.semantic_hits},
        )
        yield _counter("semcache_misses", "Misses by reason.", "reason", dict(stats.misses))
        yield _counter(
            "semcache_not_stored",
            "Answers that were not kept, by reason.",
            "reason",
            dict(stats.not_stored),
        )
        yield _counter(
            "semcache_errors", "Failures that did not reach a caller.", "class", dict(stats.errors)
        )
        yield CounterMetricFamily("semcache_stored", "Answers stored.", stats.stored)
        yield CounterMetricFamily(
            "semcache_tokens_saved", "Tokens of the answers that were hits.", stats.tokens_saved
        )
        yield GaugeMetricFamily("semcache_entries", "Entries in the record.", stats.entries)
        yield GaugeMetricFamily(
            "semcache_entries_bytes", "Their size, as max_bytes counts it.", stats.size
        )

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the record."""
        return []


def _counter(name: str, words: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


class Measured:
    """The application, with each request counted when its answer is over."""

    def __init__(self, app: ASGIApp, metrics: Metrics, endpoints: frozenset[str]) -> None:
        self._app, self._metrics, self._endpoints = app, metrics, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        said = {"status": "none", "cache": "none"}

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                said["status"] = str(message["status"])
                found = dict(message.get("headers", ())).get(b"x-semcache", b"none")
                said["cache"] = found.decode("latin-1")
            await send(message)

        with self._metrics.active.track_inprogress():
            try:
                await self._app(scope, receive, noting)
            finally:
                seconds = perf_counter() - started
                self._count(scope["path"], said, seconds)
                # Without the query, in which some providers take keys.
                shown = (scope["method"], ascii(scope["path"]), said["status"], said["cache"])
                log.info("%s %s %s %s %.0f ms", *shown, seconds * 1000)

    def _count(self, path: str, said: dict[str, str], seconds: float) -> None:
        endpoint = path if path in self._endpoints else "other"
        self._metrics.requests.labels(endpoint, said["cache"], said["status"]).inc()
        self._metrics.seconds.labels(endpoint, said["cache"]).observe(seconds)
