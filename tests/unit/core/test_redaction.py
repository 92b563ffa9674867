"""What other people's errors quote must not come into the log."""

from __future__ import annotations

import logging

import pytest

from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.redaction import redacted

SECRET = "Zq81-xWv_93kLmNop27"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: sk-{SECRET}. You can find it",
        f"sk-proj-{SECRET} is no key",
        f"headers {{'Authorization': 'Bearer {SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"GET https://example.org/?api_key={SECRET}&n=1",
        f"x-api-key: {SECRET}",
        f'{{"token": "{SECRET}"}}',
        f"postgresql://ann:{SECRET}@host/db",
        f"hf_{SECRET}",
        f"AIza{SECRET}",
    ],
)
def test_keys_are_masked(text):
    """In the forms in which providers and HTTP clients quote them."""
    shown = redacted(RuntimeError(text))
    assert shown.startswith("RuntimeError: ")
    assert SECRET not in shown
    assert SECRET[-8:] not in shown


def test_the_rest_stays_readable_and_short():
    """A message says what happened."""
    assert redacted(ValueError("the token limit of 512 was hit")) == (
        "ValueError: the token limit of 512 was hit"
    )
    assert len(redacted(ValueError("x" * 5000))) < 700


def test_an_embedders_error_is_logged_without_its_key(caplog):
    """The lookup and the storing both go on without it."""

    class Failing(HashEmbedder):
        def embed(self, texts):
            raise RuntimeError(f"401: Incorrect API key provided: sk-{SECRET}")

        async def aembed(self, texts):
            return self.embed(texts)

    with SemanticCache(embedder=Failing()) as cache, caplog.at_level(logging.DEBUG):
        cache.get("what is your refund policy")
        cache.put("what is your refund policy", "none")
        cache.flush()
    assert "RuntimeError" in caplog.text or "EmbedderError" in caplog.text
    assert SECRET not in caplog.text
