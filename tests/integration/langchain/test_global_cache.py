"""`set_llm_cache(SemanticCache(...))` with a chat model, a system prompt and real embeddings."""

from __future__ import annotations

import logging
import os
import stat

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_models import Counting, CountingLLM
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import create_model
from sqlalchemy import create_engine, text

from langchain_semcache import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, EmbedderError, StoreError

SYSTEM = SystemMessage("You are the support desk of a bookshop. Be brief and friendly.")
UNRELATED = [
    "What is your refund policy?",
    "How do I reset my password?",
    "Which authors will sign books on Saturday?",
    "Do you ship to Norway?",
    "Can I pay with a gift card?",
]


@pytest.fixture
def globally():
    """Put a cache in force for the test."""
    yield set_llm_cache
    set_llm_cache(None)


def said(*texts):
    kinds = [HumanMessage, AIMessage]
    return [SYSTEM, *(kinds[n % 2](text_) for n, text_ in enumerate(texts))]


def hit(message):
    return message.response_metadata.get("semcache")


def test_unrelated_questions_make_calls_and_a_rephrased_one_none(real, globally):
    """Five questions, five calls; another wording of one of them, none."""
    globally(real)
    model = Counting()
    for question in UNRELATED:
        model.invoke(said(question))
    assert model.calls == 5
    answer = model.invoke(said("How can I reset my password?"))
    assert model.calls == 5
    assert answer.content == "2: How do I reset my password?"
    assert hit(answer)["question"] == "How do I reset my password?"
    assert hit(answer)["hit"] == "semantic"


@tool
def search(query: str) -> str:
    """Search the shop."""
    return query


@tool
def order(title: str) -> str:
    """Order a book."""
    return title


def picture(data):
    return [
        {"type": "text", "text": UNRELATED[0]},
        {"type": "image", "base64": data, "mime_type": "image/png"},
    ]


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.invoke([SystemMessage("Be rude."), HumanMessage(UNRELATED[0])]),
        lambda model: model.invoke(said("Hello!", "Hello to you.", UNRELATED[0])),
        lambda model: model.bind_tools([search]).invoke(said(UNRELATED[0])),
        lambda model: model.invoke([SYSTEM, HumanMessage(picture("aGk="))]),
        lambda model: model.bind(stop=["."]).invoke(said(UNRELATED[0])),
        lambda model: model.model_copy(update={"model": "other"}).invoke(said(UNRELATED[0])),
        lambda model: model.model_copy(update={"temperature": 0.9}).invoke(said(UNRELATED[0])),
        lambda model: model.bind(temperature=0.9).invoke(said(UNRELATED[0])),
    ],
    ids=["system", "history", "tools", "image", "stop", "model", "temperature", "per call"],
)
def test_whatever_else_differs_makes_a_call(ask, cache, globally):
    """And is cached for itself."""
    globally(cache)
    model = Counting()
    model.invoke(said(UNRELATED[0]))
    assert hit(ask(model)) is None
    assert hit(ask(model))["hit"] == "exact"
    assert model.calls == 2


def test_other_tools_and_other_images_differ(cache, globally):
    """The set of tools, and an image by its content."""
    globally(cache)
    model = Counting()
    for tools in ([search], [order], [search, order]):
        model.bind_tools(tools).invoke(said(UNRELATED[0]))
    for data in ("aGk=", "eW8="):
        model.invoke([SYSTEM, HumanMessage(picture(data))])
    assert model.calls == 5


def test_namespaces_do_not_meet(tmp_path, globally):
    """Two tenants on one path; `clear` is for one's own."""
    model, embedder = Counting(), HashEmbedder()
    with SemanticCache(tmp_path, embedding=embedder, namespace="ann") as ann:
        globally(ann)
        model.invoke(said(UNRELATED[0]))
    with SemanticCache(tmp_path, embedding=embedder, namespace="bob") as bob:
        globally(bob)
        model.invoke(said(UNRELATED[0]))
        assert model.calls == 2
        assert bob.clear() == 1
    with SemanticCache(tmp_path, embedding=embedder, namespace="ann") as ann:
        globally(ann)
        assert hit(model.invoke(said(UNRELATED[0])))


def test_the_second_turn_hits_after_a_warm_first(cache, globally):
    """What LangChain adds to a served answer is not part of the next prompt's key."""
    globally(cache)
    model = Counting()

    def talk():
        first = model.invoke(said(UNRELATED[0]))
        question = HumanMessage("And for e-books?")
        return model.invoke([*said(UNRELATED[0]), first, question])

    talk()
    assert hit(talk())["hit"] == "exact"
    assert model.calls == 2


def test_two_schemas_of_one_class_name(cache, globally):
    """The string LangChain hands over is the same for both."""
    globally(cache)
    model = Counting(reply=lambda n, m: AIMessage('{"city": "Oslo", "land": "Norway"}'))
    one = create_model("Answer", city=(str, ...))
    two = create_model("Answer", city=(str, ...), land=(str, ...))
    for kind in (one, two, one, two):
        model.bind(response_format=kind).invoke(said(UNRELATED[0]))
    assert model.calls == 2


def test_a_graph_keeps_its_three_answers(cache, globally):
    """Ask X, "thanks", X again: a served message does not replace an earlier one."""
    globally(cache)
    model = Counting()

    def node(state):
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n")
    graph = graph.compile(checkpointer=InMemorySaver())
    for thread in ("1", "2"):
        config = {"configurable": {"thread_id": thread}}
        for text_ in (UNRELATED[0], "thanks", UNRELATED[0]):
            messages = graph.invoke({"messages": [HumanMessage(text_)]}, config)["messages"]
        assert [message.type for message in messages] == ["human", "ai"] * 3
        assert len({message.id for message in messages}) == 6
    assert model.calls == 3


async def test_the_asynchronous_seam(cache, globally):
    """Nothing differs but the event loop."""
    globally(cache)
    model = Counting()
    await model.ainvoke(said(UNRELATED[0]))
    again = await model.ainvoke(said("what is your refund policy"))
    assert hit(again)["hit"] == "semantic"
    with pytest.raises(ConfigError):
        cache.report_wrong(HumanMessage("x"))
    cache.report_wrong(again)
    assert hit(await model.ainvoke(said("what is your refund policy"))) is None
    assert await cache.aclear() == 2


def test_plain_models(cache, globally):
    """A short prompt is its own question; a long one is for exact repeats."""
    globally(cache)
    model = CountingLLM()
    assert model.invoke("Name a river in France") == model.invoke("name a river in France?")
    long = "Summarise the following.\n\n" + "The sea is deep. " * 30
    assert model.invoke(long) == model.invoke(long)
    model.invoke(long + "So is the sky.")
    assert len(model.log) == 3


# -- secrets -------------------------------------------------------------------------------------


def test_no_secret_is_on_disk(tmp_path, globally, monkeypatch):
    """Keys in headers, arguments and fields: the whole folder is searched."""
    secrets = ["sk-field-123456", "sk-header-123456", "sk-argument-123456", "sk-extra-123456"]

    def generate(self, messages, stop=None, run_manager=None, **kwargs):
        return Counting()._generate(messages)

    monkeypatch.setattr(ChatOpenAI, "_generate", generate)
    with SemanticCache(tmp_path / "cache", embedding=HashEmbedder()) as cache:
        globally(cache)
        model = ChatOpenAI(
            model="gpt-4o",
            api_key=secrets[0],
            default_headers={"Authorization": secrets[1]},
        )
        model.invoke(said(UNRELATED[0]), user=secrets[2], extra_headers={"X-Key": secrets[3]})
        assert cache.stats().entries == 1
        cache.flush()
    found = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert found
    for path in found:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"embedding": "no-such-model-anywhere"}, "no-such-model-anywhere"),
        ({"embedding": 42}, "int was given"),
        ({"threshold": 1.5}, "1.5"),
        ({"threshold": -0.1}, "-0.1"),
        ({"max_false_hit_rate": 2}, "2"),
        ({"conversation": "loose"}, "loose"),
        ({"question": 42}, "42"),
        ({"namespace": 42}, "42"),
        ({"top_k": 0}, "top_k"),
        ({"answers": 0}, "answers"),
        ({"temperature": "hot"}, "hot"),
        ({"coalesce": "some"}, "coalesce"),
        ({"next_cache": {}}, "next_cache"),
    ],
)
def test_arguments_that_cannot_work(arguments, names):
    """The error names the argument or what was given."""
    given = {"embedding": HashEmbedder(), **arguments}
    with pytest.raises((ConfigError, EmbedderError), match=names):
        SemanticCache(**given).close()


class Failing(HashEmbedder):
    """An embedder that breaks when it is used."""

    def embed(self, texts):
        raise EmbedderError("out of memory")


def test_a_failing_embedder_is_a_miss(globally, caplog):
    """Logged and counted; the answer is kept for exact repeats."""
    with SemanticCache(embedding=Failing()) as cache:
        globally(cache)
        model = Counting()
        assert model.invoke(said(UNRELATED[0])).content.startswith("1")
        assert hit(model.invoke(said(UNRELATED[0])))["hit"] == "exact"
        assert cache.stats().errors
        assert "out of memory" in caplog.text


def test_a_path_of_another_embedder(tmp_path):
    """An error at construction, before anything is served from the wrong space."""
    with SemanticCache(tmp_path, embedding=HashEmbedder(64)) as cache:
        cache.put("a", 1)
    with pytest.raises(ConfigError):
        SemanticCache(tmp_path, embedding=HashEmbedder(128)).close()


def test_a_corrupt_database(tmp_path):
    """An error at construction that is ours."""
    with SemanticCache(tmp_path, embedding=HashEmbedder()) as cache:
        cache.put("a", 1)
    for path in tmp_path.glob("*.sqlite*"):
        path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError):
        SemanticCache(tmp_path, embedding=HashEmbedder()).close()


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_disk_that_cannot_be_written(tmp_path, globally, monkeypatch):
    """The model's answer arrives, whatever the store says."""
    with SemanticCache(tmp_path, embedding=HashEmbedder()) as cache:
        globally(cache)

        def full(*args, **kwargs):
            raise StoreError("disk full")

        monkeypatch.setattr(cache._parts.store, "put", full)
        model = Counting()
        assert model.invoke(said(UNRELATED[0])).content.startswith("1")
        assert cache.stats().not_stored == {"StoreError": 1}
    assert stat.S_IMODE(tmp_path.stat().st_mode)


def test_an_entry_of_the_future_is_a_miss(tmp_path, globally, caplog):
    """Counted, logged, and overwritten by the fresh answer."""
    model = Counting()
    with SemanticCache(tmp_path, embedding=HashEmbedder()) as cache:
        globally(cache)
        model.invoke(said(UNRELATED[0]))
    path = tmp_path / "entries.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        tables = connection.execute(
            text("select name from sqlite_master where type = 'table'")
        ).scalars()
        for table in tables.all():
            columns = connection.execute(text(f"pragma table_info('{table}')")).all()
            if "payload" in [column[1] for column in columns]:
                future = b"semcache 99 langchain 0000000000000000\n[]"
                connection.execute(text(f'update "{table}" set payload = :p'), {"p": future})
    engine.dispose()
    with SemanticCache(tmp_path, embedding=HashEmbedder()) as cache:
        globally(cache)
        with caplog.at_level(logging.WARNING):
            assert hit(model.invoke(said(UNRELATED[0]))) is None
        assert "unreadable" in caplog.text
        assert hit(model.invoke(said(UNRELATED[0])))["hit"] == "exact"
    assert model.calls == 2
