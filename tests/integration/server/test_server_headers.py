"""What a caller can ask for with headers, one request at a time."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from chat_upstream import Upstream

from semcache_core.evaluators.distance import Cosine

from .conftest import Serve, Served, said

QUESTION = "How do I reset my password?"
REWORDED = "How can I reset my password?"


def ask(served: Served, question: str = QUESTION, **headers: Any) -> httpx.Response:
    """A request with headers: `refresh="true"` for `X-Semcache-Refresh: true`."""
    named = {f"X-Semcache-{name.replace('_', '-')}": str(v) for name, v in headers.items()}
    body = {"model": "gpt-4o", "messages": said(question)}
    return httpx.post(f"{served.url}/chat/completions", json=body, headers=named)


def verdict(response: httpx.Response) -> str:
    """What the server says of it."""
    return response.headers["x-semcache"]


def test_skip_neither_looks_nor_stores(served: Served, provider: Upstream) -> None:
    """Before and after an answer is stored."""
    assert verdict(ask(served, skip="true")) == "bypass"
    assert verdict(ask(served)) == "miss"
    assert verdict(ask(served, skip="true")) == "bypass"
    assert verdict(ask(served, skip="false")) == "hit"
    assert provider.calls == 3


def test_refresh_asks_anew_and_stores(served: Served) -> None:
    """The next one is served the newer answer."""
    ask(served)
    fresh = ask(served, refresh="true")
    assert verdict(fresh) == "miss"
    assert "switched off" in fresh.headers["x-semcache-reason"]
    after = ask(served)
    assert verdict(after) == "hit"
    assert after.json()["choices"] == fresh.json()["choices"]


def test_read_only_stores_nothing(served: Served) -> None:
    """But serves what is there."""
    assert verdict(ask(served, read_only="true")) == "miss"
    assert verdict(ask(served, read_only="1")) == "miss"
    ask(served)
    assert verdict(ask(served, read_only="true")) == "hit"


@pytest.mark.parametrize("streamed", [False, True])
def test_only_if_cached_never_asks(served: Served, provider: Upstream, streamed: bool) -> None:
    """A miss is a 504 that says so."""
    body = {"model": "gpt-4o", "messages": said(QUESTION), "stream": streamed}
    how = {"json": body, "headers": {"X-Semcache-Only-If-Cached": "true"}}
    missed = httpx.post(f"{served.url}/chat/completions", **how)
    assert missed.status_code == 504
    assert missed.json()["error"]["code"] == "not_cached"
    assert provider.calls == 0
    ask(served)
    assert verdict(httpx.post(f"{served.url}/chat/completions", **how)) == "hit"


def test_an_answer_lives_as_long_as_was_asked(serve: Serve, clock: Any) -> None:
    """In seconds, with the server's own time to live for who asks for none."""
    served = serve({"clock": clock, "ttl": 1000})
    ask(served, ttl=60)
    ask(served, "What is the tallest tree?")
    clock.advance(59)
    assert verdict(ask(served)) == "hit"
    assert ask(served).headers["x-semcache-age"] == "59"
    clock.advance(2)
    assert verdict(ask(served, "What is the tallest tree?")) == "hit"
    assert verdict(ask(served)) == "miss"


def test_a_threshold_of_ones_own(serve: Serve) -> None:
    """Stricter than the score of a reworded question, then looser; the score is the cosine here."""
    served = serve({"evaluator": Cosine(), "threshold": 0.9})
    ask(served)
    strict = ask(served, REWORDED, threshold=0.999, read_only="true")
    assert verdict(strict) == "miss"
    assert "0.999" in strict.headers["x-semcache-reason"]
    assert verdict(ask(served, REWORDED, threshold=0.5)) == "hit"


def test_no_threshold_can_be_asked_of_a_budget(serve: Serve) -> None:
    """It would void what is promised."""
    refused = ask(serve({"max_false_hit_rate": 0.01}), threshold=0.5)
    assert refused.status_code == 400
    assert "does not decide by one fixed threshold" in refused.json()["error"]["message"]


def test_a_session_is_not_served_the_same_twice(served: Served) -> None:
    """Another one is."""
    ask(served)
    assert verdict(ask(served, session="ann")) == "hit"
    again = ask(served, session="ann", read_only="true")
    assert verdict(again) == "miss"
    assert "already served in this session" in again.headers["x-semcache-reason"]
    assert verdict(ask(served, session="bob")) == "hit"


def test_namespaces_are_apart(served: Served) -> None:
    """The same question in two of them is two entries."""
    assert [verdict(ask(served, namespace=name)) for name in ("a", "b", "a")] == [
        "miss",
        "miss",
        "hit",
    ]


@pytest.mark.parametrize(
    ("name", "value", "said_of_it"),
    [
        ("Refesh", "true", "did you mean X-Semcache-Refresh?"),
        ("Zzz", "1", "known are X-Semcache-Skip"),
        ("Skip", "yes", "give 'true' or 'false'"),
        ("Skip", "", "give 'true' or 'false'"),
        ("TTL", "-1", "a number of seconds above 0"),
        ("TTL", "nan", "a number of seconds above 0"),
        ("TTL", "soon", "a number of seconds above 0"),
        ("TTL", "1e99", "a number of seconds above 0"),
        ("Threshold", "1.5", "a number from 0 to 1"),
        ("Threshold", "inf", "a number from 0 to 1"),
        ("Top-K", "0", "a whole number from 1 to 100"),
        ("Top-K", "9" * 5000, "a whole number from 1 to 100"),
        ("Top-K", "²", "a whole number from 1 to 100"),
        ("Namespace", "a/b", "1 to 128 letters"),
        ("Namespace", "x" * 200, "1 to 128 letters"),
        ("Session", "a b", "printable ASCII"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    served: Served, provider: Upstream, name: str, value: str, said_of_it: str
) -> None:
    """With a 400 that names the header, what was given, and what can be; nothing is asked."""
    headers = {f"X-Semcache-{name}": value.encode()}
    body = {"model": "gpt-4o", "messages": said(QUESTION)}
    response = httpx.post(f"{served.url}/chat/completions", json=body, headers=headers)
    error = response.json()["error"]
    assert response.status_code == 400
    assert said_of_it in error["message"]
    assert error["param"] == f"x-semcache-{name.lower()}"
    assert provider.calls == 0


def test_contradictory_wishes_are_refused(served: Served) -> None:
    """Which of the two is meant cannot be known."""
    response = ask(served, skip="true", refresh="true")
    assert response.status_code == 400
    assert "contradicts X-Semcache-Skip" in response.json()["error"]["message"]


def test_reasons_are_fit_for_a_header(served: Served) -> None:
    """Questions in any script come back as plain ASCII, on one line."""
    ask(served, "Wie heißt die Stadt 4711 in 日本, bitte?")
    response = ask(served, "Wie heißt die Stadt 4712 in 日本, bitte?")
    assert response.status_code == 200
    assert response.headers["x-semcache-reason"].isascii()
