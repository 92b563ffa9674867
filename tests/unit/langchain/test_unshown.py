"""Models that show LangChain's caches nothing of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_models import Counting

from langchain_semcache import cached
from langchain_semcache.unshown import unshown


class Chat(BaseChatModel):
    """As users write one."""

    engine: str = "a"
    temperature: float = 0.0
    fast: bool = False
    asked: int = 0
    api_key: str = "sk-one"
    seen: list[Any] = []  # noqa: RUF012  # pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "mine"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.asked += 1
        self.seen.append(messages)
        text = f"{type(self).__name__} {self.engine} {self.temperature} {self.fast}"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


class OtherChat(Chat):
    """Another class that calls itself the same."""


class Text(LLM):
    """A plain one."""

    engine: str = "a"
    asked: int = 0

    @property
    def _llm_type(self) -> str:
        return "mine"

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        self.asked += 1
        return self.engine


@pytest.mark.parametrize(
    "other",
    [{"engine": "b"}, {"temperature": 1.0}, {"fast": True}],
    ids=["a text", "a number", "a switch"],
)
def test_their_settings_are_part_of_the_key(other, cache):
    """Two models of one type do not answer for one another, and each finds its own again."""
    one, two = Chat(), Chat(**other)
    for model in (one, two, one, two):
        cached(model, cache).invoke("what is your refund policy")
    assert (one.asked, two.asked) == (1, 1)


def test_classes_of_one_type_name(cache):
    """The name that a class gives itself is not all that is looked at."""
    one, two = Chat(), OtherChat()
    answers = [cached(model, cache).invoke("a b c").text.split()[0] for model in (one, two)]
    assert answers == ["Chat", "OtherChat"]


def test_books_and_keys_do_not_count(cache):
    """A counter, a list of what was asked, a secret: the answer is found again."""
    model = Chat()
    for _ in range(3):
        cached(model, cache).invoke("a b c")
    cached(Chat(api_key="sk-two"), cache).invoke("a b c")
    assert (model.asked, cache.stats().entries, cache.stats().hits) == (1, 1, 3)


def test_plain_models_too(cache):
    """Texts in, texts out."""
    one, two = Text(), Text(engine="b")
    for model in (one, two, one, two):
        assert cached(model, cache).invoke("a b c") == model.engine
    assert (one.asked, two.asked) == (1, 1)


def test_what_shows_itself_is_left_as_langchain_has_it():
    """So that a twin and the same model under `set_llm_cache` share their entries."""
    assert unshown(Counting()) == []
