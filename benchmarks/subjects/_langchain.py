"""A chat model that answers at once, so that only the framework and the cache cost time."""

from __future__ import annotations

from typing import Any

from _serve import Corpus, Op, answer
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

SYSTEM = SystemMessage("You are the support desk of a bank. Answer in one sentence.")


class Instant(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(
            answer(messages[-1].content),
            usage_metadata={"input_tokens": 40, "output_tokens": 15, "total_tokens": 55},
            response_metadata={"model_name": "instant", "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def messages(question: str) -> list[BaseMessage]:
    """What the model is sent."""
    return [SYSTEM, HumanMessage(question)]


def ops(model: Any, corpus: Corpus, *names: str) -> dict[str, Op]:
    """`.invoke` with what each operation asks."""
    kinds = {"exact": "stored", "semantic": "paraphrased", "miss and put": "novel"}

    def asking(kind: str) -> Op:
        texts = corpus.texts[kind]
        return lambda i: str(model.invoke(messages(texts[i])).content)

    return {name: asking(kinds[name]) for name in names}
