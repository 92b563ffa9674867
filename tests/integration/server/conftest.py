"""A provider, and servers in front of it, each on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from chat_upstream import Upstream, listening, providers

from semcache_core.cache import SemanticCache
from semcache_core.protocols import Embedder
from semcache_core.server import ServerSettings, create_app

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Served:
    """A running server and the cache behind it."""

    address: str
    cache: SemanticCache
    clients: list[openai.OpenAI] = field(default_factory=list)
    """Those that were made, to be closed."""

    @property
    def url(self) -> str:
        """What clients call their base URL."""
        return f"{self.address}/v1"

    def client(self, key: str = "a-key", **how: Any) -> openai.OpenAI:
        """OpenAI's own client."""
        made = openai.OpenAI(api_key=key, base_url=self.url, **{"max_retries": 0, **how})
        self.clients.append(made)
        return made

    def close(self) -> None:
        """Close what was made to talk to it."""
        for client in self.clients:
            client.close()


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def new_provider() -> Iterator[Callable[[], Upstream]]:
    """Makes upstreams, at one address."""
    with providers() as renew:
        yield renew


@pytest.fixture
def provider(new_provider: Callable[[], Upstream]) -> Upstream:
    """The upstream, as a process of its own would be: a socket and nothing shared."""
    return new_provider()


@pytest.fixture
def serve(provider: Upstream, minilm: Embedder) -> Iterator[Serve]:
    """Starts servers: `serve(cache={...}, timeout=1)`; the cache's arguments, then the server's."""
    with ExitStack() as stack:

        def start(cache: dict[str, Any] | None = None, **settings: Any) -> Served:
            opened = stack.enter_context(SemanticCache(**{"embedder": minilm, **(cache or {})}))
            given = ServerSettings(**{"upstream": provider.url, **settings})
            address = stack.enter_context(listening(create_app(opened, given)))
            served = Served(address, opened)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server with nothing but defaults."""
    return serve()


def said(question: str, *before: dict[str, Any]) -> Messages:
    """A conversation that ends with a question."""
    return [*before, {"role": "user", "content": question}]
