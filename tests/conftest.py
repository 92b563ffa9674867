"""What all tests share: the real embedder, a clock that tests move, and no way out to the network.

The network itself is shut by `--allow-hosts` in pyproject.toml: a connection to anything but this
machine fails the test that made it.
"""

from __future__ import annotations

import os

# Before anything imports a library that reads them.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    ANONYMIZED_TELEMETRY="False",
    TOKENIZERS_PARALLELISM="false",
    LANGSMITH_TRACING="false",
)
for _key in ("OPENAI_API_KEY", "LANGSMITH_API_KEY", "COHERE_API_KEY", "CO_API_KEY"):
    os.environ.pop(_key, None)

import pytest
from hypothesis import settings

from semcache_core.protocols import Embedder

# A busy machine is no failure; the same examples everywhere make a failure one that can be seen.
settings.register_profile("semcache", deadline=None, derandomize=True)
settings.load_profile("semcache")


class MovingClock:
    """Seconds since the epoch that pass only when a test says so; a `protocols.Clock`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; returns the new now."""
        self.now += seconds
        return self.now


@pytest.fixture
def clock() -> MovingClock:
    """A clock that stands still until the test advances it."""
    return MovingClock()


@pytest.fixture(scope="session")
def minilm() -> Embedder:
    """The real all-MiniLM-L6-v2, loaded once a run."""
    from semcache_core.embedders import make_embedder

    return make_embedder("all-MiniLM-L6-v2")
