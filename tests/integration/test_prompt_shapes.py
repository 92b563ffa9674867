"""Prompts of every shape through both frameworks: what may be reworded hits, what differs misses.

The embedder, the guards and the policy are the real defaults; only the provider is a stand-in.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_models import Streaming
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
)
from llama_index.core.prompts import PromptTemplate
from llamaindex_models import Provider
from PIL import Image

import langchain_semcache
import llamaindex_semcache
from semcache_core.control import refresh
from semcache_core.errors import ConfigError
from semcache_core.prompts import (
    AllContent,
    Condensed,
    LastMessage,
    LastTurns,
    Selected,
    SimilarImages,
    Summarised,
    Without,
    WithoutTemplate,
)

Talk = list[tuple[str, Any]]
File = tuple[str, bytes]
"""The kind of a file ("image", "audio", "pdf") and its content; stands in a message's list."""


class LangChain:
    """A twin of a streaming chat model."""

    def __init__(self, shape: Any, minilm: Any, **more: Any) -> None:
        self.cache = langchain_semcache.SemanticCache(embedding=minilm, question=shape, **more)
        self._model = Streaming()
        self.model = langchain_semcache.cached(self._model, self.cache)

    @property
    def calls(self) -> int:
        return self._model.calls

    def messages(self, talk: Talk) -> list[Any]:
        kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        return [kinds[role](self._content(content)) for role, content in talk]

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return content
        return [
            {"type": "text", "text": part} if isinstance(part, str) else self._file(*part)
            for part in content
        ]

    def _file(self, kind: str, data: bytes) -> dict[str, Any]:
        text = base64.b64encode(data).decode()
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
        return {"type": "audio" if kind == "audio" else "file", "base64": text}

    def ask(self, talk: Talk) -> None:
        self.model.invoke(self.messages(talk))

    async def aask(self, talk: Talk) -> None:
        await self.model.ainvoke(self.messages(talk))


class LangChainStream(LangChain):
    """The same, streamed."""

    def ask(self, talk: Talk) -> None:
        for _ in self.model.stream(self.messages(talk)):
            pass

    async def aask(self, talk: Talk) -> None:
        async for _ in self.model.astream(self.messages(talk)):
            pass


class LangChainGlobal(LangChain):
    """The cache behind LangChain's own seam, which is handed messages as JSON."""

    def __init__(self, shape: Any, minilm: Any, **more: Any) -> None:
        super().__init__(shape, minilm, **more)
        self.model = self._model = Streaming(cache=self.cache)


class LlamaIndex:
    """A twin of the real OpenAI class over a counting transport."""

    def __init__(self, shape: Any, minilm: Any, **more: Any) -> None:
        self.cache = llamaindex_semcache.SemanticCache(embed_model=minilm, **more)
        self.provider = Provider(lambda body: f"answer {self.provider.calls}")
        self.model = llamaindex_semcache.cached(self.provider.openai(), self.cache, question=shape)

    @property
    def calls(self) -> int:
        return self.provider.calls

    def messages(self, talk: Talk) -> list[ChatMessage]:
        return [ChatMessage(role=role, content=self._content(content)) for role, content in talk]

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return content
        return [
            TextBlock(text=part) if isinstance(part, str) else self._file(*part) for part in content
        ]

    def _file(self, kind: str, data: bytes) -> Any:
        if kind == "image":
            return ImageBlock(image=data)
        if kind == "audio":
            return AudioBlock(audio=data, format="wav")
        return DocumentBlock(data=data, document_mimetype="application/pdf", title="paper")

    def ask(self, talk: Talk) -> None:
        self.model.chat(self.messages(talk))

    async def aask(self, talk: Talk) -> None:
        await self.model.achat(self.messages(talk))


class LlamaIndexStream(LlamaIndex):
    """The same, streamed."""

    def ask(self, talk: Talk) -> None:
        for _ in self.model.stream_chat(self.messages(talk)):
            pass

    async def aask(self, talk: Talk) -> None:
        async for _ in await self.model.astream_chat(self.messages(talk)):
            pass


WAYS = [LangChain, LangChainStream, LangChainGlobal, LlamaIndex, LlamaIndexStream]


@pytest.fixture(params=WAYS[:1] + WAYS[2:4], ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def asking(way: Any, minilm: Any) -> Any:
    """`asking(shape)` is a framework with a cache that reads prompts so."""
    made: list[Any] = []

    def make(shape: Any, **more: Any) -> Any:
        made.append(way(shape, minilm, **more))
        return made[-1]

    yield make
    for one in made:
        one.cache.close()


A, B = "How do I reset my password?", "How can I reset my password?"
OTHER = "How do I delete my account?"
RULES = "Answer in two sentences. Be polite."
PAGE = "Use this page:\n{page}\n\nQuestion: {question}"


def page(text: str, question: str) -> Talk:
    return [("user", PAGE.format(page=text, question=question))]


def talk(question: str, earlier: str = "Which browsers do you support?", system: str = "") -> Talk:
    start: Talk = [("system", system)] if system else []
    return [*start, ("user", earlier), ("assistant", "All of them."), ("user", question)]


def condense(prompt: str) -> str:
    """A model that knows what `it` is when Norway was mentioned."""
    question = prompt.rpartition("Last question: ")[2]
    place = "Norway" if "Norway" in prompt else "Sweden"
    return question.replace("there", f"to {place}")


def summarise(prompt: str) -> str:
    """A model that finds the one sentence that asks."""
    return next(one for one in re.split(r"(?<=[.?])\s+", prompt) if one.endswith("?"))


STORY = "I bought a lamp last week. It was blue and rather large. My cat likes it a lot. " * 6

CASES: dict[str, tuple[Any, Talk, Talk, list[Talk]]] = {
    # reader, what is asked, a rephrasing that hits, others that miss
    "last message": (
        LastMessage(),
        [("user", f"Hello!\n\n{A}")],
        [("user", f"Hello!\n\n{B}")],
        [[("user", f"Hello!\n\n{OTHER}")], talk(f"Hello!\n\n{A}")],
    ),
    "without given prompts": (
        Without(RULES),
        [("user", f"{RULES}\n{A}")],
        [("user", f"{RULES}\n{B}")],
        [[("user", f"{RULES}\n{OTHER}")], [("user", B)], [("user", f"{B}\n{RULES}")]],
    ),
    "without a template": (
        WithoutTemplate(PAGE),
        page("Links expire after an hour.", A),
        page("Links expire after an hour.", B),
        [page("Links expire after an hour.", OTHER), page("Links expire after a day.", B)],
    ),
    "all content": (
        AllContent(),
        talk(A, "Which browsers do you support?", "Be brief."),
        talk(B, "Which browsers are supported?", "Be brief."),
        [
            talk(OTHER, "Which browsers are supported?", "Be brief."),
            talk(B, "Which browsers are supported?", "Be long."),
        ],
    ),
    "last turns": (
        LastTurns(2, skip=("assistant",)),
        [("user", "I use a Mac."), ("assistant", "Fine."), *talk(A)],
        [("user", "I use a Mac."), ("assistant", "Fine."), *talk(B)],
        [
            [("user", "I use a Linux."), ("assistant", "Fine."), *talk(B)],
            [("user", "I use a Mac."), ("assistant", "Good."), *talk(B)],
            [("user", "I use a Mac."), ("assistant", "Fine."), *talk(OTHER)],
        ],
    ),
    "last turns, the others ignored": (
        LastTurns(1, dropped="ignore"),
        talk(A, system="Be brief."),
        [("system", "Be brief."), ("user", "Hello!"), ("assistant", "Hi!"), ("user", B)],
        [talk(B, system="Be long."), talk(OTHER, system="Be brief.")],
    ),
    "condensed": (
        Condensed(condense, dropped="ignore"),
        talk("How long does a parcel there take?", "Do you ship to Norway?"),
        talk("How long will a parcel there take?", "I am in Norway. Do you ship?"),
        [
            talk("How long does a parcel there take?", "Do you ship to Sweden?"),
            talk("How much is a parcel there?", "Do you ship to Norway?"),
        ],
    ),
    "condensed, history exact": (
        Condensed(condense),
        talk("How long does a parcel there take?", "Do you ship to Norway?"),
        talk("How long will a parcel there take?", "Do you ship to Norway?"),
        [talk("How long will a parcel there take?", "I am in Norway. Do you ship?")],
    ),
    "selected": (
        Selected(20),
        [("user", f"{STORY} {A}")],
        [("user", f"{STORY} {B}")],
        [[("user", f"{STORY} {OTHER}")], [("user", f"{STORY.replace('blue', 'red')} {B}")]],
    ),
    "selected, the rest ignored": (
        Selected(10, dropped="ignore"),
        [("user", f"{STORY} {A}")],
        [("user", f"{STORY.replace('blue', 'red')} {B}")],
        [[("user", f"{STORY} {OTHER}")]],
    ),
    "summarised": (
        Summarised(summarise, dropped="ignore"),
        [("user", f"{STORY} {A}")],
        [("user", f"{B} {STORY}")],
        [[("user", f"{STORY} {OTHER}")]],
    ),
    "one after the other": (
        LastTurns(2) | Without(RULES) | (lambda text: text.strip()),
        talk(f"{RULES}\n{A}"),
        talk(f"{RULES}\n{B}"),
        [talk(B), talk(f"{RULES}\n{B}", "Which phones do you support?")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_shape_hits_and_misses(case: str, asking: Any) -> None:
    """A rephrasing is served; whatever was not said to be ignored makes it a miss."""
    shape, asked, rephrased, others = CASES[case]
    framework = asking(shape)
    framework.ask(asked)
    framework.ask(asked)
    assert (framework.calls, framework.cache.stats().exact_hits) == (1, 1)
    framework.ask(rephrased)
    assert (framework.calls, framework.cache.stats().semantic_hits) == (1, 1)
    for number, other in enumerate(others, 2):
        framework.ask(other)
        assert framework.calls == number, other


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__, indirect=False)
async def test_shapes_on_the_event_loop(way: Any, minilm: Any) -> None:
    """Asynchronous calls read alike, and a model that reads never runs on the event loop."""
    threads = set()

    def ask(prompt: str) -> str:
        threads.add(threading.current_thread())
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return condense(prompt)

    framework = way(Condensed(ask, dropped="ignore"), minilm)
    _, asked, rephrased, others = CASES["condensed"]
    for said in (asked, asked, rephrased):
        await framework.aask(said)
    assert framework.calls == 1
    await framework.aask(others[0])
    assert framework.calls == 2
    assert threading.current_thread() not in threads
    await framework.cache.aclose()


@pytest.mark.parametrize("shape", [LastTurns(2), AllContent()], ids=repr)
def test_what_differs_a_turn_ago_is_not_outvoted(shape: Any, asking: Any) -> None:
    """Each text is compared with the one in its place: another country, another question misses."""
    framework = asking(shape)
    framework.ask(talk("How long does it take?", "Do you ship to Norway?"))
    framework.ask(talk("How long does it take?", "Can you ship to Norway?"))
    assert framework.calls == 1
    framework.ask(talk("How long does it take?", "Do you ship to Sweden?"))
    framework.ask(talk("How much does it cost?", "Do you ship to Norway?"))
    assert framework.calls == 3


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_a_sequence_of_turns_is_compared_turn_by_turn(framework: str, minilm: Any) -> None:
    """`conversation="sequence"` with the default evaluator, in both frameworks."""
    if framework == "langchain":
        asking: Any = LangChain(None, minilm, conversation="sequence")
    else:
        asking = LlamaIndex(None, minilm)
        plain = asking.provider.openai()
        asking.model = llamaindex_semcache.cached(plain, asking.cache, conversation="sequence")
    asking.ask(talk("How long does it take?", "Do you ship to Norway?"))
    asking.ask(talk("How long does it take?", "Can you ship to Norway?"))
    assert asking.calls == 1
    asking.ask(talk("How long does it take?", "Do you ship to Sweden?"))
    asking.ask(talk("How long does it take?", "What is the weather in Paris?"))
    assert asking.calls == 3
    asking.cache.close()


def png(colour: tuple[int, int, int], size: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["image", "audio", "pdf"])
@pytest.mark.parametrize("shape", [None, LastMessage(), AllContent()], ids=repr)
def test_files_are_exact_and_the_question_is_not(kind: str, shape: Any, asking: Any) -> None:
    """A reworded question about the same file hits; another file misses."""
    one, other = png((250, 5, 5)), png((5, 5, 250))
    first, second = "What is on this picture?", "What is in this picture?"
    if kind != "image":
        first, second = "What is said in the second minute?", "What's said in the second minute?"
    framework = asking(shape)
    framework.ask([("user", [first, (kind, one)])])
    framework.ask([("user", [second, (kind, one)])])
    assert framework.calls == 1
    framework.ask([("user", [second, (kind, other)])])
    framework.ask([("user", second)])
    assert framework.calls == 3


class Colours:
    """An image model that sees mean colours and nothing else."""

    def encode(self, images: list[Any]) -> Any:
        return np.array([np.asarray(image, dtype=float).mean(axis=(0, 1)) for image in images])


def test_an_image_by_its_likeness(asking: Any) -> None:
    """With `SimilarImages`, a scaled copy of an image is the same image; another one is not."""
    framework = asking(SimilarImages(Colours(), threshold=0.99))
    question = "What is on this picture?"
    framework.ask([("user", [question, ("image", png((250, 5, 5)))])])
    framework.ask([("user", ["What is in this picture?", ("image", png((248, 6, 6), 40))])])
    framework.ask([("user", [question, ("image", png((248, 6, 6), 40))])])
    assert framework.calls == 1
    framework.ask([("user", [question, ("image", png((5, 5, 250)))])])
    assert framework.calls == 2


def test_a_reader_whose_model_is_behind_the_same_cache(minilm: Any) -> None:
    """The summary is asked for once, is cached itself, and does not summarise itself."""
    inner = Streaming(reply=lambda n, messages: AIMessage(summarise(messages[-1].text)))
    shape = Summarised(lambda prompt: cached_inner.invoke(prompt).text, dropped="ignore")
    framework = LangChain(shape, minilm)
    cached_inner = langchain_semcache.cached(inner, framework.cache)
    _, asked, rephrased, _ = CASES["summarised"]
    for said in (asked, rephrased, asked):
        framework.ask(said)
    assert (framework.calls, inner.calls) == (1, 2)
    framework.cache.close()


def test_a_reader_whose_model_fails_never_fails_the_call(asking: Any) -> None:
    """The call goes through, and an exact repeat is served."""

    def broken(prompt: str) -> str:
        raise ConnectionError("no route")

    framework = asking(Condensed(broken, dropped="ignore"))
    framework.ask(talk(A))
    framework.ask(talk(A))
    framework.ask(talk(B))
    assert framework.calls == 2


def test_a_reader_whose_model_recovers(asking: Any) -> None:
    """What failed once is tried again; from then on rephrasings hit."""
    fails = [True]

    def flaky(prompt: str) -> str:
        if fails:
            raise ConnectionError(fails.pop())
        return condense(prompt)

    framework = asking(Condensed(flaky, dropped="ignore"))
    _, asked, rephrased, _ = CASES["condensed"]
    framework.ask(asked)
    with refresh():
        framework.ask(asked)
    assert framework.calls == 2
    framework.ask(rephrased)
    assert framework.calls == 2


def test_an_exact_repeat_needs_no_equal_summary(way: Any, minilm: Any, tmp_path: Any) -> None:
    """A model words its summaries anew each time; the same prompt is found all the same."""
    summaries = iter(["How to reset a password?", "What is the capital of Norway?"])
    for _ in range(2):
        summary = next(summaries)
        shape = Summarised(lambda prompt, said=summary: said, dropped="ignore")
        framework = way(shape, minilm, path=tmp_path / "cache")
        framework.ask([("user", f"{STORY} {A}")])
        framework.cache.close()
    assert framework.calls == 0


def test_completions_are_read_too(minilm: Any) -> None:
    """A plain text is one message of the user's."""
    cache = llamaindex_semcache.SemanticCache(embed_model=minilm)
    provider = Provider()
    llm = llamaindex_semcache.cached(provider.openai(), cache, question=Without(RULES))
    llm.complete(f"{RULES}\n{A}")
    llm.complete(f"{RULES}\n{B}")
    assert provider.calls == 1
    llm.complete(f"{B}\n{RULES}")
    assert provider.calls == 2
    cache.close()


def test_a_template_without_a_question_is_not_read(minilm: Any) -> None:
    """A reader would take all that was filled in for the question; such a prompt stays exact."""
    cache = llamaindex_semcache.SemanticCache(embed_model=minilm)
    provider = Provider()
    llm = llamaindex_semcache.cached(provider.openai(), cache, question=LastMessage())
    template = PromptTemplate("Summarise: {text}")
    for text in ("Orders ship on Monday.", "Orders ship on Monday.", "Orders are shipped Monday."):
        llm.predict(template, text=text)
    assert provider.calls == 2
    cache.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: langchain_semcache.SemanticCache(question=LastTurns(), conversation="sequence"),
        lambda: llamaindex_semcache.cached(
            Provider().openai(),
            llamaindex_semcache.SemanticCache(),
            question=LastTurns(),
            conversation="sequence",
        ),
    ],
)
def test_two_ways_of_comparing_turns_are_refused(make: Callable[[], Any]) -> None:
    """The error names the argument and what to take instead."""
    with pytest.raises(ConfigError, match=r"conversation: 'sequence'.*LastTurns"):
        make()
