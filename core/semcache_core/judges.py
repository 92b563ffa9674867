"""Whether a fresh answer is, for the asker, the same as a cached one.

They label what learning policies learn from, off the hot path. None means "cannot tell", and is
no label; a judge that fails says None and logs it, since a guessed label is worse than none.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from semcache_core.errors import ConfigError, EmbedderError
from semcache_core.models import Matrix
from semcache_core.protocols import Embedder, Judge
from semcache_core.redaction import redacted

log = logging.getLogger("semcache")

Ask = Callable[[str], str | Awaitable[str]]
"""A model, as a function from a prompt to its reply."""

PROMPT = """\
Two answers were given to the same question. Would the asker be served equally well by either, \
so that no fact, number, name, condition or instruction differs?

Question:
{question}

Answer A:
{fresh}

Answer B:
{cached}

Reply with one word, yes or no."""

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
# What a short reply means when it starts so; a reply that starts otherwise is searched.
_YES = frozenset({"yes", "y", "true", "same", "equal", "equivalent"})
_NO = frozenset({"no", "n", "not", "false", "different"})


class Judging(ABC):
    """The asynchronous half: `same` in a worker thread."""

    __slots__ = ()

    @abstractmethod
    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        """None: cannot tell, so no label."""

    async def asame(self, question: str, fresh: str, cached: str) -> bool | None:
        return await asyncio.to_thread(self.same, question, fresh, cached)


@dataclass(frozen=True, slots=True)
class EqualAnswers(Judging):
    """Equal up to case, white space, punctuation and Unicode form.

    Signs that carry meaning stay (- + % < > = and the like, and the point or comma inside a
    number), so that -3 is not 3, and 1.5 not 15. Without words or signs it cannot tell.
    """

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        one, other = normal(fresh), normal(cached)
        return one == other if one or other else None


def normal(text: str) -> str:
    """The text as `EqualAnswers` compares it: words and meaningful signs, one space between."""
    return " ".join(_TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()))


# A number with its inner points and commas, a word with its marks, or a sign that is no
# punctuation (Unicode's symbols; - and % are punctuation there, and carry meaning here).
_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+|[-+%°$€£¥<>=±×÷^~|*/\\&@#]", re.UNICODE)


@dataclass(frozen=True, slots=True)
class EqualJson(Judging):
    """Equal as JSON values: key order and white space do not count, nor does 1 against 1.0.

    Fenced blocks are unwrapped. Two answers of which either is not JSON go to `otherwise`
    (None: cannot tell).
    """

    otherwise: Judge | None = None

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        one, other = parsed(fresh), parsed(cached)
        if one is not None and other is not None:
            return _equal(one[0], other[0])
        return None if self.otherwise is None else self.otherwise.same(question, fresh, cached)


def parsed(text: str) -> tuple[object] | None:
    """The JSON value in a tuple, since null is one too; None for what is not JSON."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", text, re.DOTALL)
    try:
        return (json.loads(fenced[1] if fenced else text),)
    except (ValueError, RecursionError):
        return None


def _equal(one: object, other: object) -> bool:
    """JSON equality. Python's own would take true for 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other


@dataclass(frozen=True, slots=True)
class SimilarAnswers(Judging):
    """Cosine similarity of the two answers' embeddings is at least `threshold`, in (0, 1].

    Below `different` it says no, between the two it cannot tell. Numbers must agree as well:
    embeddings hardly see them. Text that does not fit the embedder is not judged. Raises
    ConfigError.
    """

    embedder: Embedder
    threshold: float = 0.9
    different: float | None = None

    def __post_init__(self) -> None:
        low = self.threshold if self.different is None else self.different
        if not all(_is_share(x) for x in (self.threshold, low)) or low > self.threshold:
            raise ConfigError(
                f"threshold={self.threshold!r}, different={self.different!r}: give cosines with "
                "0 < different <= threshold <= 1"
            )

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        if not self._sees(fresh, cached):
            return None
        try:
            return self._verdict(fresh, cached, self.embedder.embed([fresh, cached]))
        except EmbedderError as error:
            _failed(error)
            return None

    async def asame(self, question: str, fresh: str, cached: str) -> bool | None:
        if not self._sees(fresh, cached):
            return None
        try:
            return self._verdict(fresh, cached, await self.embedder.aembed([fresh, cached]))
        except EmbedderError as error:
            _failed(error)
            return None

    def _sees(self, *texts: str) -> bool:
        return all(text.strip() and self.embedder.fits(text) for text in texts)

    def _verdict(self, fresh: str, cached: str, vectors: Matrix) -> bool | None:
        if _numbers(fresh) != _numbers(cached):
            return False
        cosine = float(vectors[0] @ vectors[1])
        low = self.threshold if self.different is None else self.different
        return True if cosine >= self.threshold else False if cosine < low else None


@dataclass(frozen=True, slots=True)
class ModelJudge(Judging):
    """Asks a model: any callable from a prompt to its reply, sync or async.

    Equal texts are not asked about. `prompt` has the fields {question}, {fresh} and {cached}. An
    async callable judges on the event loop only; called from a thread it runs a loop of its own.
    Raises ConfigError.
    """

    ask: Ask
    prompt: str = PROMPT

    def __post_init__(self) -> None:
        if not callable(self.ask):
            raise ConfigError(f"ask={self.ask!r}: give a function from a prompt to a reply")
        missing = [f for f in ("{question}", "{fresh}", "{cached}") if f not in self.prompt]
        if missing:
            raise ConfigError(f"prompt: the fields {', '.join(missing)} are missing")

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        if EqualAnswers().same(question, fresh, cached):
            return True
        try:
            reply = self.ask(self._filled(question, fresh, cached))
            if inspect.isawaitable(reply):
                reply = asyncio.run(_awaited(reply))
        except Exception as error:  # noqa: BLE001  # a user's model: its failure is no label
            _failed(error)
            return None
        return verdict(reply)

    async def asame(self, question: str, fresh: str, cached: str) -> bool | None:
        if EqualAnswers().same(question, fresh, cached):
            return True
        prompt = self._filled(question, fresh, cached)
        try:
            if inspect.iscoroutinefunction(self.ask):
                reply = await self.ask(prompt)
            else:
                reply = await asyncio.to_thread(self.ask, prompt)
                reply = await reply if inspect.isawaitable(reply) else reply
        except Exception as error:  # noqa: BLE001  # a user's model: its failure is no label
            _failed(error)
            return None
        return verdict(reply)

    def _filled(self, question: str, fresh: str, cached: str) -> str:
        # One pass over the template, not str.format: answers are full of braces, and a field
        # name inside an answer must not be filled in turn.
        values = {"{question}": question, "{fresh}": fresh, "{cached}": cached}
        return re.sub(r"\{(?:question|fresh|cached)\}", lambda m: values[m[0]], self.prompt)


def verdict(reply: object) -> bool | None:
    """Yes or no from a model's reply; None if it says neither, or both.

    A leading word decides ("No, the dates differ"); otherwise the reply must hold only yes words
    or only no words ("The answer is: yes").
    """
    words = _WORD.findall(reply.casefold()) if isinstance(reply, str) else []
    if not words:
        return None
    for said, meaning in ((_YES, True), (_NO, False)):
        if words[0] in said:
            return meaning
    yes, no = (bool(said.intersection(words)) for said in (_YES, _NO))
    return None if yes == no else yes


@dataclass(frozen=True, slots=True)
class FirstVerdict(Judging):
    """Asks judges in turn, cheapest first, until one can tell."""

    judges: Sequence[Judge]

    def __post_init__(self) -> None:
        if not self.judges:
            raise ConfigError("judges: give at least one")

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        verdicts = (judge.same(question, fresh, cached) for judge in self.judges)
        return next((v for v in verdicts if v is not None), None)

    async def asame(self, question: str, fresh: str, cached: str) -> bool | None:
        for judge in self.judges:
            said = await judge.asame(question, fresh, cached)
            if said is not None:
                return said
        return None


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


def _is_share(value: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0.0 < value <= 1.0


def _failed(error: Exception) -> None:
    log.warning("semcache: a judge could not tell (%s)", redacted(error))


async def _awaited(reply: Awaitable[str]) -> str:
    return await reply
