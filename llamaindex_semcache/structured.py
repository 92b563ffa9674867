"""A StructuredLLM whose inner LLM is a twin, and which catches the templates it is given."""

from __future__ import annotations

from llama_index.core.llms.structured_llm import StructuredLLM

from llamaindex_semcache.scoped import Scoped


class CachedStructuredLLM(Scoped, StructuredLLM):
    """What `cached(structured_llm, cache)` and a twin's `as_structured_llm` return."""
