"""Evaluators by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from semcache_core import evaluators as ev
from semcache_core.config._part import Building, Strict, by_name
from semcache_core.config._values import (
    Cosine,
    Count,
    NotNegative,
    Positive,
    Seconds,
    Text,
    Unit,
    Whole,
)
from semcache_core.protocols import Evaluator


def _not_off(value: Any) -> Any:
    """YAML reads a bare `off` as false."""
    return "off" if value is False else value


GuardNames = Annotated[
    Text | tuple[Text, ...],
    BeforeValidator(_not_off, json_schema_input_type=str | bool | list[str]),
]
"""A preset of guards, or their names."""


class Default(Strict):
    """Guards, then the learned verifier."""

    kind: Literal["default"]
    guards: GuardNames = "core"

    def build(self, building: Building) -> Evaluator:
        return ev.default_evaluator(building.embedder(), self.guards)


class Conversation(Strict):
    """The default one, for earlier turns that are compared by meaning as well."""

    kind: Literal["conversation"]

    def build(self, building: Building) -> Evaluator:
        return ev.conversation_evaluator(building.embedder())


class ByCosine(Strict):
    """Cosine similarity."""

    kind: Literal["cosine"]

    def build(self, building: Building) -> Evaluator:
        return ev.Cosine()


class ByL2(Strict):
    """Euclidean distance, as a score."""

    kind: Literal["l2"]

    def build(self, building: Building) -> Evaluator:
        return ev.L2()


class Exact(Strict):
    """The same words, whatever their case and punctuation."""

    kind: Literal["exact"]

    def build(self, building: Building) -> Evaluator:
        return ev.Exact()


class Verifier(Strict):
    """The learned verifier without guards."""

    kind: Literal["verifier"]
    coefficients: Text | None = None
    """The file that `semcache train` wrote; without it the shipped one."""

    def build(self, building: Building) -> Evaluator:
        return ev.Verifier(self.coefficients and building.path(self.coefficients))


class Guards(Strict):
    """Guards alone: they reject, or leave the score at 1."""

    kind: Literal["guards"]
    guards: GuardNames = "safe"

    def build(self, building: Building) -> Evaluator:
        return ev.Guards(self.guards)


class Bm25(Strict):
    """Shared words, the rare ones counting more."""

    kind: Literal["bm25"]
    k1: NotNegative = 1.2
    b: Unit = 0.75
    remembered: Count = 10_000

    def build(self, building: Building) -> Evaluator:
        return ev.BM25(**self.given())


class KReciprocal(Strict):
    """The cosine, where the query is as near to the entry as its own k neighbours are."""

    kind: Literal["k-reciprocal"]
    k: Count = 2

    def build(self, building: Building) -> Evaluator:
        return ev.KReciprocal.of_cache(self.k)


class CrossEncoder(Strict):
    """A sentence-transformers CrossEncoder, asked in the grey zone of cosines only."""

    kind: Literal["cross-encoder"]
    model: Text | None = None
    grey_zone: tuple[Cosine, Cosine] = (0.7, 0.97)
    backend: Literal["torch", "onnx"] = "torch"
    batch_size: Count = 32

    def build(self, building: Building) -> Evaluator:
        given = self.given()
        if self.model is not None:
            given["model"] = building.model(self.model)
        return ev.CrossEncoderEvaluator(**given)


class Cohere(Strict):
    """Cohere's reranker, asked in the grey zone of cosines only."""

    kind: Literal["cohere"]
    model: Text = "rerank-v3.5"
    api_key: Annotated[Text | None, Field(repr=False)] = None
    """By reference, as ${CO_API_KEY}; without it the client looks for CO_API_KEY itself."""
    base_url: Text | None = None
    timeout: Positive = 5.0
    retries: Whole = 2
    against: Literal["question", "answer"] = "question"
    grey_zone: tuple[Cosine, Cosine] = (0.6, 0.97)

    def build(self, building: Building) -> Evaluator:
        return ev.CohereEvaluator(**self.given())


class Sequence(Strict):
    """Conversations turn by turn; the newest weighs most."""

    kind: Literal["sequence"]
    weights: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 0.25, 0.125, 0.0625)
    worst: Unit = 0.0

    def build(self, building: Building) -> Evaluator:
        return ev.SequenceMatch(building.embedder(), **self.given())


class Time(Strict):
    """Age: scores fade by half with each half-life, and end at the greatest age."""

    kind: Literal["time"]
    half_life: Seconds | None = None
    max_age: Seconds | None = None

    def build(self, building: Building) -> Evaluator:
        return ev.TimeDecay(**self.given())


class AllOf(Strict):
    """The lowest score of several; any of them may reject."""

    kind: Literal["all-of"]
    evaluators: Evaluators

    def build(self, building: Building) -> Evaluator:
        return ev.all_of(*(one.build(building) for one in self.evaluators))


class AnyOf(Strict):
    """The highest score of several."""

    kind: Literal["any-of"]
    evaluators: Evaluators

    def build(self, building: Building) -> Evaluator:
        return ev.any_of(*(one.build(building) for one in self.evaluators))


class Weighted(Strict):
    """The weighted mean of several."""

    kind: Literal["weighted"]
    evaluators: Evaluators
    weights: tuple[Positive, ...]

    def build(self, building: Building) -> Evaluator:
        return ev.weighted([one.build(building) for one in self.evaluators], self.weights)


class Required(Strict):
    """Rejects below a minimum, and else says nothing."""

    kind: Literal["required"]
    evaluator: EvaluatorPart
    minimum: Unit

    def build(self, building: Building) -> Evaluator:
        return ev.required(self.evaluator.build(building), self.minimum)


class Guarded(Strict):
    """Guards first, then another evaluator for those that pass."""

    kind: Literal["guarded"]
    guards: GuardNames = "core"
    evaluator: EvaluatorPart

    def build(self, building: Building) -> Evaluator:
        return ev.guarded(ev.Guards(self.guards), self.evaluator.build(building))


class Stage(Strict):
    """One stage: scores strictly between `low` and `high` go on to the next."""

    evaluator: EvaluatorPart
    low: Unit = 0.0
    high: Unit = 1.0


class Cascade(Strict):
    """Evaluators one after the other, cheapest first."""

    kind: Literal["cascade"]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    def build(self, building: Building) -> Evaluator:
        stages = (ev.Stage(one.evaluator.build(building), one.low, one.high) for one in self.stages)
        return ev.cascade(*stages)


KINDS = (
    Default,
    Conversation,
    ByCosine,
    ByL2,
    Exact,
    Verifier,
    Guards,
    Bm25,
    KReciprocal,
    CrossEncoder,
    Cohere,
    Sequence,
    Time,
    AllOf,
    AnyOf,
    Weighted,
    Required,
    Guarded,
    Cascade,
)
_Kinds = Annotated[
    Default
    | Conversation
    | ByCosine
    | ByL2
    | Exact
    | Verifier
    | Guards
    | Bm25
    | KReciprocal
    | CrossEncoder
    | Cohere
    | Sequence
    | Time
    | AllOf
    | AnyOf
    | Weighted
    | Required
    | Guarded
    | Cascade,
    Field(discriminator="kind"),
]
_Names = Literal[
    "default",
    "conversation",
    "cosine",
    "l2",
    "exact",
    "verifier",
    "guards",
    "bm25",
    "k-reciprocal",
    "cross-encoder",
    "cohere",
    "sequence",
]
EvaluatorPart = Annotated[_Kinds, BeforeValidator(by_name, json_schema_input_type=_Names | _Kinds)]
Evaluators = Annotated[tuple[EvaluatorPart, ...], Field(min_length=1)]
for _kind in KINDS:
    _kind.model_rebuild()  # those that hold others
