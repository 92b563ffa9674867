"""Cohere's rerank API (v2), asked in the grey zone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

from semcache_core.errors import ConfigError, MissingDependency
from semcache_core.evaluators._base import described, is_number
from semcache_core.evaluators._grey import GreyZoneEvaluator, Zone
from semcache_core.models import Candidate, Query

Answer = Callable[[bytes], str]
"""Gives the text of a stored payload: a codec's `text` after the envelope."""


class CohereEvaluator(GreyZoneEvaluator):
    """The relevance that Cohere gives the stored questions (or answers) for the query.

    `client` is a `cohere.ClientV2`, or is made of `api_key` (else the variable CO_API_KEY),
    `base_url`, `timeout` in seconds a request, and `retries`: the client waits as Retry-After says
    when the API answers 429, and longer each time without it. `against="answer"` compares with
    the stored answers, as GPTCache did, and needs `answer`, which reads a payload. Network
    errors come out as `EvaluatorError`; the cache then asks the model.

    Relevance is no probability of equality: choose the threshold on your own traffic.
    """

    def __init__(
        self,
        *,
        model: str = "rerank-v3.5",
        client: Any = None,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 5.0,
        retries: int = 2,
        against: Literal["question", "answer"] = "question",
        answer: Answer | None = None,
        grey_zone: Zone = (0.6, 0.97),
    ) -> None:
        """Raise `ConfigError` without a key or with arguments that cannot work together."""
        super().__init__(grey_zone)
        if against not in {"question", "answer"}:
            raise ConfigError(f"against={against!r}: use 'question' or 'answer'")
        if against == "answer" and answer is None:
            raise ConfigError("against='answer' needs answer=, a function from payload to text")
        if not is_number(timeout) or timeout <= 0:
            raise ConfigError(f"timeout={timeout!r}: give seconds above 0")
        if not isinstance(retries, int) or retries < 0:
            raise ConfigError(f"retries={retries!r}: give a whole number of at least 0")
        self._model, self._against = model, against
        self._answer = answer if against == "answer" else None
        self._client = client or _client(api_key, base_url, timeout, retries)

    @property
    def name(self) -> str:
        return "cohere"

    @property
    def identity(self) -> str:
        return described(self.name, self._model, self._against, self.grey_zone)

    def _judge(self, query: Query, candidates: Sequence[Candidate]) -> list[float]:
        documents = [self._document(one) for one in candidates]
        response = self._client.rerank(
            model=self._model, query=query.text, documents=documents, top_n=len(documents)
        )
        found = {result.index: float(result.relevance_score) for result in response.results}
        if found.keys() != set(range(len(documents))):
            raise ValueError(f"{len(documents)} documents were sent, {sorted(found)} came back")
        odd = [value for value in found.values() if not 0.0 <= value <= 1.0]
        if odd:
            raise ValueError(f"a relevance of {odd[0]} came back; it lies in [0, 1]")
        return [found[i] for i in range(len(documents))]

    def _document(self, candidate: Candidate) -> str:
        if self._answer is None:
            return candidate.entry.query or ""
        return self._answer(candidate.entry.payload)


def _client(api_key: str | None, base_url: str | None, timeout: float, retries: int) -> Any:
    key = api_key or os.environ.get("CO_API_KEY")
    if not key:
        raise ConfigError(
            "api_key: none was given and CO_API_KEY is not set; pass api_key= or a client="
        )
    try:
        from cohere import ClientV2
    except ImportError as error:
        raise MissingDependency("CohereEvaluator", "cohere", "cohere") from error
    return ClientV2(key, base_url=base_url, timeout=timeout, max_retries=retries)
