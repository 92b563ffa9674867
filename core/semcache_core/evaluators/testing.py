"""An evaluator for tests: scores from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.models import Candidate, Query, Score


class TableEvaluator(BaseEvaluator):
    """Scores by (query, stored question); a `Score` in the table is handed out as it is.

    `calls` keeps what was asked. A pair that is in no row gets `default`, and without one raises
    `EvaluatorError`, as any failure of an evaluator does.
    """

    blocking = False

    def __init__(
        self,
        table: Mapping[tuple[str, str], float | Score],
        *,
        default: float | Score | None = None,
        name: str = "table",
    ) -> None:
        self._table = dict(table)
        self._default = default
        self._name = name
        self.calls: list[tuple[str, tuple[str, ...]]] = []

    @property
    def name(self) -> str:
        return self._name

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        stored = tuple(one.entry.query or "" for one in candidates)
        self.calls.append((query.text, stored))
        return [self._one((query.text, question)) for question in stored]

    def _one(self, pair: tuple[str, str]) -> Score:
        found = self._table.get(pair, self._default)
        if found is None:
            raise KeyError(pair)
        return found if isinstance(found, Score) else Score(float(found), self.name)
