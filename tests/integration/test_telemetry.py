"""OpenTelemetry, with the SDK's own in-memory exporters, each in a process of its own.

Providers are global and can be set once, so nothing of this may happen in the tests' process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from langchain_core.tracers.base import BaseTracer
from langchain_models import Counting

from langchain_semcache import SemanticCache, cached

SET_UP = """
import json, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()

def set_up():
    metrics.set_meter_provider(MeterProvider([reader]))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

def told():
    data = reader.get_metrics_data()
    found = {}
    for resource in (data.resource_metrics if data else ()):
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = {
                    "unit": metric.unit,
                    "points": [
                        [dict(p.attributes), getattr(p, "value", None), getattr(p, "count", None)]
                        for p in metric.data.data_points
                    ],
                }
    spans = [
        {"name": s.name, "about": dict(s.attributes), "seconds": (s.end_time - s.start_time) / 1e9,
         "parent": s.parent.span_id if s.parent else None, "id": s.context.span_id}
        for s in exporter.get_finished_spans()
    ]
    print(json.dumps({"metrics": found, "spans": spans}))

from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.embedders import HashEmbedder
from semcache_core.evaluators import Cosine

def cache(**how):
    return SemanticCache(embedder=HashEmbedder(), evaluator=Cosine(), **how)
"""


def run(code: str) -> Any:
    """What the code prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", SET_UP + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lookups_are_counted_timed_and_traced() -> None:
    """With the model, the result and the reason; spans are children of the caller's."""
    told = run("""
set_up()
made = cache(threshold=0.9, namespace="tenant-a")
prompt = made.prompt("json", None, "what is the capital of france", model="gpt-4o")
near = made.prompt("json", None, "what is the capital of france?", model="gpt-4o")
made.find(prompt, JSON)
made.save(prompt, "Paris", JSON, tokens=12)
with trace.get_tracer("program").start_as_current_span("answer"):
    made.find(prompt, JSON)
    made.find(near, JSON)
told()
""")
    lookups = told["metrics"]["semcache.lookups"]["points"]
    reasons = {(p["semcache.result"], p["semcache.reason"]): n for p, n, _ in lookups}
    assert reasons == {("hit", "exact"): 1, ("hit", "semantic"): 1, ("miss", "no candidate"): 1}
    assert {p["gen_ai.request.model"] for p, _, _ in lookups} == {"gpt-4o"}
    assert told["metrics"]["semcache.lookup.duration"]["unit"] == "s"
    assert sum(n for *_, n in told["metrics"]["semcache.lookup.duration"]["points"]) == 3
    assert sum(n for _, n, _ in told["metrics"]["semcache.tokens.saved"]["points"]) == 24
    assert [n for _, n, _ in told["metrics"]["semcache.stored"]["points"]] == [1]
    outer = next(span for span in told["spans"] if span["name"] == "answer")
    spans = [span for span in told["spans"] if span["name"] == "semcache.lookup"]
    assert [span["parent"] for span in spans] == [None, outer["id"], outer["id"]]
    assert all(0 <= span["seconds"] < 60 for span in spans)
    hit = next(s["about"] for s in spans if s["about"]["semcache.reason"] == "semantic")
    assert 0.9 <= hit["semcache.similarity"] <= 1
    assert len(hit["semcache.entry.id"]) == 64
    assert hit["semcache.tokens.saved"] == 12


def test_nothing_of_the_users_is_recorded() -> None:
    """Neither questions nor answers nor tenants."""
    told = run("""
set_up()
made = cache(namespace="tenant-a")
made.put("secret question", "secret answer")
made.get("secret question")
made.get("another secret")
told()
""")
    assert "secret" not in json.dumps(told)
    assert "tenant" not in json.dumps(told)


def test_a_provider_may_come_after_the_cache() -> None:
    """Programs set it up where they like."""
    told = run("""
made = cache()
made.get("before")
set_up()
made.get("after")
told()
""")
    assert len(told["spans"]) == 1


def test_failures_are_counted() -> None:
    """By the class of the error."""
    told = run("""
set_up()
made = cache()
def broken(*a, **k):
    raise RuntimeError("broken")
made._parts.store.get = broken
assert made.get("x") is None
told()
""")
    (point,) = told["metrics"]["semcache.errors"]["points"]
    assert point[0] == {"error.type": "RuntimeError"}


def test_without_a_provider_nothing_happens() -> None:
    """Though the API is imported, no instrument is even made."""
    told = run("""
made = cache()
made.put("a", "b")
made.get("a")
from semcache_core import telemetry
assert telemetry._instruments.cache_info().currsize == 0
told()
""")
    assert told == {"metrics": {}, "spans": []}


def test_hits_are_marked_where_tracers_look() -> None:
    """What LangSmith's and other tracers are handed at the end of a call says that it was a hit."""
    seen: list[Any] = []

    class Tracer(BaseTracer):
        def _persist_run(self, run: Any) -> None:
            seen.append(run.outputs)

    with SemanticCache() as made:
        model = cached(Counting(), made)
        model.invoke("What is it?")
        model.invoke("What is it?", config={"callbacks": [Tracer()]})
    (outputs,) = seen
    message = outputs["generations"][0][0]["message"]
    assert message["kwargs"]["response_metadata"]["semcache"]["hit"] == "exact"
