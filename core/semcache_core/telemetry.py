"""OpenTelemetry: metrics and a span for each lookup, if the program has set it up.

The API alone is used. Where nobody has imported it, or no provider is set, a lookup pays a look
into a dict. There are no semantic conventions for caches, so the names are our own ("semcache.");
what the GenAI ones name is called so. Questions, answers and tenants are not recorded: they are
the users'.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from semcache_core.models import Hit, Miss

_NAME = "semcache"


@dataclass(frozen=True, slots=True)
class _Instruments:
    tracer: Any
    lookups: Any
    duration: Any
    tokens: Any
    stored: Any
    errors: Any


def lookup(outcome: Hit | Miss, seconds: float) -> None:
    """One counted lookup that took so long and ends now."""
    if "opentelemetry.trace" not in sys.modules or not _active():
        return
    made = _instruments()
    hit = isinstance(outcome, Hit)
    about = {"semcache.result": "hit" if hit else "miss", "semcache.reason": outcome.reason.value}
    if outcome.prompt.model:
        about["gen_ai.request.model"] = outcome.prompt.model
    made.lookups.add(1, about)
    made.duration.record(seconds, about)
    if isinstance(outcome, Hit) and outcome.entry.tokens:
        made.tokens.add(outcome.entry.tokens, about)
    _span(made.tracer, outcome, seconds, about)


def stored() -> None:
    """One answer was stored."""
    if "opentelemetry.trace" in sys.modules and _active():
        _instruments().stored.add(1)


def failed(error: BaseException) -> None:
    """A failure that did not reach the caller."""
    if "opentelemetry.trace" in sys.modules and _active():
        _instruments().errors.add(1, {"error.type": type(error).__name__})


def _active() -> bool:
    """Whether the program has set a provider; until then asked each time, as it may come late."""
    if _nothing_is_set():
        return False
    from opentelemetry import metrics, trace

    spans = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return spans or _is_set(metrics.get_meter_provider())


def _nothing_is_set() -> bool:
    """The usual case, by where the API keeps its providers; were that moved, the rest still holds.

    Asking for them takes several times as long, and Chroma has everybody import the API.
    """
    tracing = sys.modules["opentelemetry.trace"]
    metering = sys.modules.get("opentelemetry.metrics._internal")
    return (
        getattr(tracing, "_TRACER_PROVIDER", tracing) is None
        and getattr(metering, "_METER_PROVIDER", None) is None
    )


def _is_set(provider: Any) -> bool:
    # The API's own stand-in is private; everything else is somebody's.
    return not type(provider).__module__.startswith("opentelemetry.metrics")


@cache
def _instruments() -> _Instruments:
    from opentelemetry import metrics, trace

    meter = metrics.get_meter(_NAME)
    return _Instruments(
        tracer=trace.get_tracer(_NAME),
        lookups=meter.create_counter("semcache.lookups", "{lookup}", "Lookups, by their result"),
        duration=meter.create_histogram(
            "semcache.lookup.duration", "s", "Time that a lookup took, without the model"
        ),
        tokens=meter.create_counter("semcache.tokens.saved", "{token}", "Tokens that hits saved"),
        stored=meter.create_counter("semcache.stored", "{entry}", "Answers that were stored"),
        errors=meter.create_counter(
            "semcache.errors", "{error}", "Failures that did not reach the caller"
        ),
    )


def _span(tracer: Any, outcome: Hit | Miss, seconds: float, about: dict[str, Any]) -> None:
    now = time.time_ns()
    span = tracer.start_span(
        "semcache.lookup", attributes=about, start_time=now - int(seconds * 1e9)
    )
    if span.is_recording() and isinstance(outcome, Hit):
        span.set_attributes(
            {
                "semcache.entry.id": outcome.id,
                "semcache.similarity": outcome.similarity,
                "semcache.score": outcome.score,
                "semcache.age": outcome.age,
                "semcache.tokens.saved": outcome.entry.tokens,
            }
        )
    span.end(now)
