"""`conversation="sequence"`: earlier turns are compared by meaning, turn by turn."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from langchain_semcache import SemanticCache


class Counting(BaseChatModel):
    """A chat model that numbers its answers."""

    asked: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        self.asked.append(messages)
        answer = AIMessage(f"answer {len(self.asked)}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def talk(first: str, question: str, system: str = "You sell shoes.") -> list[Any]:
    """A conversation of two turns."""
    said = [SystemMessage(system), HumanMessage(first), AIMessage("Yes, in all sizes.")]
    return [*said, HumanMessage(question)]


@pytest.fixture
def model(minilm):
    """A model whose cache compares conversations."""
    with SemanticCache(embedding=minilm, conversation="sequence") as cache:
        yield Counting(cache=cache, asked=[])


def test_a_reworded_conversation_hits(model):
    """Both the earlier turn and the question may be reworded."""
    model.invoke(talk("Do you have red running shoes?", "How much do they cost?"))
    answer = model.invoke(talk("Do you have running shoes in red?", "How much do they cost?"))
    assert answer.content == "answer 1"


def test_another_conversation_misses(model):
    """The same words about something else are another question."""
    model.invoke(talk("Do you have red running shoes?", "How much do they cost?"))
    model.invoke(talk("What is the weather in Paris?", "How much do they cost?"))
    assert len(model.asked) == 2


def test_the_system_prompt_stays_exact(model):
    """Only what was said is compared by meaning."""
    model.invoke(talk("Do you have red running shoes?", "How much do they cost?"))
    model.invoke(talk("Do you have red running shoes?", "How much do they cost?", "You rent."))
    assert len(model.asked) == 2


def test_a_longer_conversation_misses(model):
    """A turn that only one of the two has may change what the question means."""
    short = talk("Do you have red running shoes?", "How much do they cost?")
    model.invoke(short)
    more = [HumanMessage("I meant the blue coat."), AIMessage("Ah, that one.")]
    model.invoke([*short[:-1], *more, short[-1]])
    assert len(model.asked) == 2
