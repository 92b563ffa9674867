"""`memoize`: functions, methods, closures; what is one call and what is another."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

import pytest

from semcache_core import memoize
from semcache_core.cache import SemanticCache
from semcache_core.errors import ConfigError
from tests.unit.core.test_cache import Approve, WordEmbedder


@pytest.fixture
def cache():
    with SemanticCache(embedder=WordEmbedder(), evaluator=Approve(), threshold=0.9) as made:
        yield made


def test_memoize_answers_rephrased_calls(cache):
    """Other arguments must match exactly, defaults included."""
    calls = []

    @memoize(cache)
    def ask(question: str, model: str = "m1") -> str:
        calls.append(question)
        return f"{model}: {question}"

    assert ask("refund") == ask("my refund", model="m1") == ask(question="the refund")
    assert ask("refund", "m2").startswith("m2")
    assert len(calls) == 2
    assert ask.__name__ == "ask"


async def test_memoize_takes_coroutines(cache):
    """An async function stays one."""
    calls = []

    @memoize(cache, question="text", ttl=60)
    async def ask(model: str, text: str) -> dict:
        calls.append(text)
        return {"answer": text}

    assert await ask("m", "refund") == await ask("m", "a refund") == {"answer": "refund"}
    assert calls == ["refund"]


def test_memoize_lets_through_what_it_cannot_key(cache):
    """A question that is not a text is asked as ever."""

    @memoize(cache)
    def ask(question):
        return question * 2

    assert ask(21) == 42


def test_memoize_refuses_what_cannot_work(cache):
    """The error names the function and its arguments."""
    with pytest.raises(ConfigError, match="'text'"):
        memoize(cache, question="text")(lambda question: question)

    def stream(question):
        yield question

    with pytest.raises(ConfigError, match="generator"):
        memoize(cache)(stream)


class Bot:
    """A client as users write one: of no stable form."""

    def __init__(self, model):
        self.model, self.calls = model, []

    def answer(self, question):
        self.calls.append(question)
        return f"{self.model}: {question}"


class Better(Bot):
    """Inherits what it is asked by."""


def test_a_method_whose_object_has_no_form_is_asked_as_ever(cache, caplog):
    """It is said once, by name, with what to do; and counted each time."""

    class Plain(Bot):
        ask = memoize(cache)(Bot.answer)

    plain = Plain("m1")
    for _ in range(3):
        assert plain.ask("refund") == "m1: refund"
    assert len(plain.calls) == 3
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    for part in ("Bot.answer is asked as ever", "self (a ", "ignore=['self']", "exact=", "once"):
        assert part in said
    assert cache.stats().not_stored == {"UncacheableError": 3}


def test_self_can_be_ignored(cache):
    """All objects of a class then share answers, and no other class does."""

    class Shared(Bot):
        ask = memoize(cache, ignore=["self"])(Bot.answer)

    class Sub(Shared):
        pass

    one, two, sub = Shared("m1"), Shared("m2"), Sub("m3")
    assert one.ask("refund") == two.ask("my refund") == "m1: refund"
    assert sub.ask("refund") == "m3: refund"
    assert (len(one.calls), len(two.calls), len(sub.calls)) == (1, 0, 1)


def test_what_of_self_matters_can_be_said(cache):
    """`exact` is called with the arguments, and stands for all but the question."""

    class Chosen(Bot):
        @memoize(cache, exact=lambda self, question, **_: self.model)
        def ask(self, question, log=None):
            return self.answer(question)

    same, other = Chosen("m1"), Chosen("m2")
    assert same.ask("refund") == Chosen("m1").ask("my refund", log=object()) == "m1: refund"
    assert other.ask("refund") == "m2: refund"


def test_objects_with_a_form_are_compared_by_it(cache):
    """A dataclass is its fields; equal ones share answers without a word."""
    calls = []

    @dataclass(frozen=True)
    class Settings:
        model: str

        @memoize(cache)
        def ask(self, question):
            calls.append(question)
            return f"{self.model}: {question}"

    assert Settings("m1").ask("refund") == Settings("m1").ask("my refund") == "m1: refund"
    assert Settings("m2").ask("refund") == "m2: refund"
    assert len(calls) == 2


def test_class_and_static_methods(cache, caplog):
    """Below the decorator of either; a class has a form."""

    class Desk:
        calls: list[str]

        @classmethod
        @memoize(cache)
        def of_class(cls, question):
            return f"{cls.__name__}: {question}"

        @staticmethod
        @memoize(cache)
        def of_none(question):
            return f"static: {question}"

    class Other(Desk):
        pass

    assert Desk.of_class("refund") == Desk.of_class("my refund") == "Desk: refund"
    assert Other.of_class("refund") == "Other: refund"
    assert Desk.of_none("refund") == Desk().of_none("my refund") == "static: refund"
    assert not caplog.records


def test_a_bound_method_brings_its_object(cache):
    """Taken from two objects it is two functions, and none if they have no form."""
    one, two = Bot("m1"), Better("m2")
    asks = [memoize(cache, ignore={"self"})(bot.answer) for bot in (one, one, two)]
    assert [ask("refund") for ask in asks] == ["m1: refund", "m1: refund", "m2: refund"]
    assert (len(one.calls), len(two.calls)) == (1, 1)
    plain = memoize(cache)(one.answer)
    assert [plain("refund"), plain("refund")] == ["m1: refund"] * 2
    assert len(one.calls) == 3


def test_closures_and_lambdas_of_one_name(cache):
    """What they were made with tells them apart, and what they keep does not."""

    def made(model):
        calls = []

        @memoize(cache)
        def ask(question):
            calls.append(question)
            return f"{model}: {question}"

        return ask, calls

    (first, calls), (second, _), (again, later) = made("m1"), made("m2"), made("m1")
    assert first("refund") == first("my refund") == again("refund") == "m1: refund"
    assert second("refund") == "m2: refund"
    assert (calls, later) == (["refund"], [])
    shout, whisper = (memoize(cache)(f) for f in (lambda q: q.upper(), lambda q: q.lower()))
    nested = memoize(cache)(lambda q: [c + c for c in q])
    assert (shout("Refund"), whisper("Refund")) == ("REFUND", "refund")
    assert nested("so") == ["ss", "oo"]


async def test_coroutine_methods(cache):
    """The same rules; a call that cannot be keyed is awaited all the same."""

    class Desk(Bot):
        @memoize(cache, ignore=["self"])
        async def ask(self, question):
            return self.answer(question)

        @memoize(cache)
        async def unkeyed(self, question):
            return self.answer(question)

    desk = Desk("m1")
    assert await desk.ask("refund") == await desk.ask("my refund") == "m1: refund"
    assert await desk.unkeyed("refund") == await desk.unkeyed("refund") == "m1: refund"
    assert len(desk.calls) == 3


def test_a_wrong_call_is_the_callers_to_see(cache):
    """A missing argument raises what Python raises; a failing `exact` is logged, not raised."""

    @memoize(cache, exact=lambda question: 1 / 0)
    def ask(question):
        return question

    assert ask("refund") == "refund"
    with pytest.raises(TypeError, match="question"):
        ask()


def test_exact_without_a_form_is_told(cache, caplog):
    """As an argument would be."""
    ask = memoize(cache, exact=lambda question: object())(lambda question: question)
    assert ask("refund") == "refund"
    assert "exact (a builtins.object)" in caplog.text


@pytest.mark.parametrize(
    ("how", "function", "says"),
    [
        ({}, functools.partial(int, "1"), "no function with a name"),
        ({}, staticmethod(str), "below @staticmethod"),
        ({}, classmethod(str), "below @staticmethod"),
        ({}, lambda: "nothing to ask", "name one of them"),
        ({"ignore": "self"}, str, "set of names"),
        ({"ignore": ["a"], "exact": id}, str, "exact= instead"),
        ({"ignore": ["client"]}, lambda question: question, "no argument 'client'"),
    ],
)
def test_what_cannot_be_memoised(how, function, says, cache):
    """The error says what to do."""
    with pytest.raises(ConfigError, match=says):
        memoize(cache, **how)(function)
