"""Copies and pickles of a twin do what those of its original do, and say no more."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.extractors import SummaryExtractor, TitleExtractor
from llama_index.core.postprocessor import LLMRerank
from llama_index.llms.openai import OpenAI
from openai_server import Upstream, upstream

from llamaindex_semcache import cached

SECRET = "sk-very-secret"
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda llm: llm.model_copy(),
    "deep model_copy": lambda llm: llm.model_copy(deep=True),
    "updated": lambda llm: llm.model_copy(update={"max_tokens": 7}),
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),
}


@pytest.fixture
def server() -> Iterator[Upstream]:
    """A server that speaks OpenAI's protocol."""
    with upstream() as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(caplog: Any) -> None:
    """LlamaIndex logs each attribute that a pickle leaves out."""
    caplog.set_level(logging.ERROR)


def openai(server: Upstream) -> OpenAI:
    """LlamaIndex's own class, with secrets in two places."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    return OpenAI(model="gpt-4o-mini", api_key=SECRET, api_base=server.url, default_headers=headers)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_can_ask_and_remembers(how: str, cache: Any, server: Upstream) -> None:
    """Each kind of copy is a twin that reaches the provider, and shares the cache."""
    twin = cached(openai(server), cache)
    made = COPIES[how](twin)
    assert isinstance(made, OpenAI)
    assert type(made) is type(twin)
    text = made.complete(f"Where is the Louvre? {how}").text
    assert made.complete(f"Where is the Louvre? {how}").text == text
    assert (len(server.asked), cache.stats().hits) == (1, 1)
    if how != "updated":
        assert twin.complete(f"Where is the Louvre? {how}").text == text
        assert len(server.asked) == 1


@pytest.mark.parametrize("how", ["copy", "deepcopy", "model_copy", "deep model_copy"])
def test_a_copy_has_a_state_of_its_own(how: str, cache: Any, server: Upstream) -> None:
    """What is set on the copy is not set on the twin, nor on what it was made from."""
    llm = openai(server)
    twin = cached(llm, cache)
    made = COPIES[how](twin)
    made.temperature = 0.9
    assert (twin.temperature, llm.temperature) == (0.1, 0.1)


def test_a_pickle_is_the_bare_classs_and_a_token(cache: Any, server: Upstream) -> None:
    """It holds what the provider's class puts into its own pickle, once, and nothing of a cache."""
    llm = openai(server)
    twin = cached(llm, cache)
    twin.complete("Where is the Louvre?")
    bare, ours = pickle.dumps(llm), pickle.dumps(twin)
    assert ours.count(SECRET.encode()) == bare.count(SECRET.encode()) > 0
    assert len(ours) < len(bare) + 200
    assert b"Louvre" not in ours
    assert SECRET.encode() not in pickle.dumps(pickle.loads(ours).metadata)


def test_in_another_process_it_is_the_plain_model(
    cache: Any, server: Upstream, tmp_path: Path
) -> None:
    """Where the cache is not, the unpickled model is of the provider's class, and can ask."""
    twin = cached(openai(server), cache)
    twin.complete("Where is the Louvre?")
    file = tmp_path / "model"
    file.write_bytes(pickle.dumps(twin))
    program = (
        "import pickle, sys; llm = pickle.load(open(sys.argv[1], 'rb'));"
        "print(type(llm).__name__, llm.complete('Where is the Louvre?').text)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("OpenAI This is answer number 2")


# LlamaIndex's agents look at all attributes of themselves when they are made.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("kind", [LLMRerank, SummaryExtractor, TitleExtractor, FunctionAgent])
def test_components_that_hold_a_twin_show_no_secret(
    kind: Any, cache: Any, server: Upstream
) -> None:
    """A dump of what a twin was given to has no key either."""
    made = kind(llm=cached(openai(server), cache))
    assert SECRET not in str(made.model_dump())
    assert SECRET not in repr(made)
    if hasattr(made, "to_dict"):
        assert SECRET not in str(made.to_dict())


def test_a_dump_makes_the_model_again(cache: Any, server: Upstream) -> None:
    """`to_dict` and `to_json` lack the secrets and nothing else; given those, they work."""
    llm = openai(server)
    twin = cached(llm, cache)
    left_out = {"api_key", "default_headers"}
    assert twin.to_dict() == {k: v for k, v in llm.to_dict().items() if k not in left_out}
    assert json.loads(twin.to_json()) == twin.to_dict()
    again = OpenAI.from_dict(twin.to_dict(), api_key="new")
    assert again.complete("Where is the Louvre?").text.startswith("This is answer")
    assert (llm.api_key, twin.api_key) == (SECRET, SECRET)
