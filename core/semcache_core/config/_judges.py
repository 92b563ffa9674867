"""Judges by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from semcache_core import judges
from semcache_core.config._part import Building, Strict, by_name
from semcache_core.config._values import PositiveUnit
from semcache_core.protocols import Judge


class Equal(Strict):
    """Equal texts are the same answer."""

    kind: Literal["equal"]

    def build(self, building: Building) -> Judge:
        return judges.EqualAnswers()


class EqualJson(Strict):
    """Equal JSON values are the same answer."""

    kind: Literal["json"]

    def build(self, building: Building) -> Judge:
        return judges.EqualJson()


class Similar(Strict):
    """Answers of nearly the same meaning, with the same numbers, are the same."""

    kind: Literal["similar"]
    threshold: PositiveUnit = 0.9
    different: PositiveUnit | None = None

    def build(self, building: Building) -> Judge:
        return judges.SimilarAnswers(building.embedder(), **self.given())


class First(Strict):
    """Judges in turn, until one can tell."""

    kind: Literal["first"]
    judges: Annotated[tuple[JudgePart, ...], Field(min_length=1)]

    def build(self, building: Building) -> Judge:
        return judges.FirstVerdict([one.build(building) for one in self.judges])


KINDS = (Equal, EqualJson, Similar, First)
_Kinds = Annotated[Equal | EqualJson | Similar | First, Field(discriminator="kind")]
_Names = Literal["equal", "json", "similar"]
JudgePart = Annotated[_Kinds, BeforeValidator(by_name, json_schema_input_type=_Names | _Kinds)]
First.model_rebuild()
