"""`/v1/completions`: a plain prompt, for models that were not made for chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from semcache_core.questions import own_question
from semcache_core.server import sse
from semcache_core.server.endpoints import _choices as common
from semcache_core.server.messages import Split
from semcache_core.server.pieces import pieces
from semcache_core.server.plans import NotUnderstood, Place, Plan, planned


class Completions:
    """A prompt in, choices with a text each out."""

    kind = "openai.completion"
    path = "/completions"
    tells_usage = True

    def plan(self, body: Mapping[str, Any], place: Place) -> Plan:
        """A prompt that can only be a question may be reworded; several, or tokens, may not."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str | list) or not prompt:
            raise NotUnderstood("the request has no prompt")
        question = own_question(prompt) if isinstance(prompt, str) else None
        if body.get("suffix") or body.get("echo"):  # the answer repeats the question's wording
            question = None
        why = "" if question else "the prompt holds more than a question"
        return planned(self.kind, body, "prompt", Split(question, None, prompt, why=why), place)

    def ends(self, event: bytes) -> bool:
        return sse.is_done(event)

    def join(self, events: Sequence[bytes]) -> dict[str, Any]:
        """Raises `ValueError`."""
        return common.joined(events, "text_completion", lambda one: {"text": "", **one})

    def replay(self, answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[bytes]:
        return common.replayed(answer, body, "text_completion", _parts)

    def fresh(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return common.renewed(answer, "cmpl-")

    def unfit(self, answer: Mapping[str, Any]) -> str:
        if why := common.unfit(answer):
            return why
        texts = [str(one.get("text") or "") for one in answer["choices"]]
        return "" if all(text.strip() for text in texts) else "empty answer"

    def calls_tools(self, answer: Mapping[str, Any]) -> bool:
        return False

    def text(self, answer: Mapping[str, Any]) -> str:
        choices = answer.get("choices") or [{}]
        return str(choices[0].get("text") or "")


def _parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A choice as its chunks': the text in pieces, or whole with what was said of its tokens."""
    unknown = {"index": choice.get("index", 0), "logprobs": None, "finish_reason": None}
    if choice.get("logprobs"):
        yield dict(choice)
        return
    for text in pieces(str(choice.get("text") or "")):
        yield {**unknown, "text": text}
    yield {**unknown, **choice, "text": ""}
