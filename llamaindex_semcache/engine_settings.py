"""What tells one query engine from another: its classes, prompts, models, and plain settings."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.data_structs.data_structs import IndexDict, IndexStruct
from llama_index.core.graph_stores.types import PropertyGraphStore
from llama_index.core.indices.base import BaseIndex
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate, SelectorPromptTemplate
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.storage.docstore.types import BaseDocumentStore
from llama_index.core.storage.index_store.types import BaseIndexStore
from llama_index.core.storage.storage_context import StorageContext
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from pydantic import BaseModel

from llamaindex_semcache.fingerprint import (
    OPERATIONAL,
    Fingerprint,
    Settings,
    class_name,
    is_secret,
    told,
)
from semcache_core.keys import canonical

_DEEPEST = 8
# Not described: the documents have a version of their own.
_DOCUMENTS: Any = (
    BaseDocumentStore,
    BaseIndex,
    BaseIndexStore,
    BaseNode,
    BasePydanticVectorStore,
    CallbackManager,
    IndexStruct,
    NodeWithScore,
    PropertyGraphStore,
    StorageContext,
)


_NOT_TOLD = OPERATIONAL | {"dispatcher", "graph_store"}


class EngineSettings(Settings):
    """The identity of one query engine; the documents behind it are not part of it."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self._engine = engine

    def fields(self) -> dict[str, bytes]:
        """Every setting by its path from the engine."""
        found: dict[str, bytes] = {}
        _describe(self._engine, "", found, ())
        return found


def _describe(value: Any, path: str, found: dict[str, bytes], above: tuple[int, ...]) -> None:
    if isinstance(value, _DOCUMENTS):
        return
    if isinstance(value, LLM):
        settings = Fingerprint(value).settled()
        found.update((f"{path}.{name}", setting) for name, setting in settings.items())
    elif isinstance(value, BaseEmbedding):
        found[path] = canonical([class_name(value), value.model_name])
    elif isinstance(value, BasePromptTemplate):
        found[path] = canonical(_templates(value))
    elif len(above) > _DEEPEST or id(value) in above:
        found[path] = canonical(class_name(value))
    elif (parts := _parts(value)) is None:
        found[path] = told(value)
    else:
        found[path] = canonical(class_name(value))
        for name, part in parts:
            _describe(part, f"{path}.{name}", found, (*above, id(value)))


def _parts(value: Any) -> Iterable[tuple[str, Any]] | None:
    """The named parts of a value, or None for what has none to look into."""
    if isinstance(value, list | tuple):
        return [(str(number), part) for number, part in enumerate(value)]
    if isinstance(value, dict):
        return [(str(name), part) for name, part in value.items() if _tells(name, part)]
    if isinstance(value, type | Enum) or callable(value) or not hasattr(value, "__dict__"):
        return None
    fields = dict(value) if isinstance(value, BaseModel) else dict(vars(value))
    if _unrestricted(fields):
        del fields["_node_ids"]  # random names, and the index's version says what they hold
    return [(name, part) for name, part in fields.items() if _tells(name, part)]


def _unrestricted(retriever: dict[str, Any]) -> bool:
    """Whether a vector retriever looks at all nodes of its index, by naming each."""
    struct = getattr(retriever.get("_index"), "index_struct", None)
    named = retriever.get("_node_ids")
    if not isinstance(struct, IndexDict) or not isinstance(named, list):
        return False
    return set(named) == set(struct.nodes_dict.values())


def _tells(name: Any, part: Any) -> bool:
    name = str(name)
    return name.lstrip("_") not in _NOT_TOLD and not is_secret(name, part)


def _templates(template: BasePromptTemplate) -> list[Any]:
    if isinstance(template, SelectorPromptTemplate):
        others = [_templates(other) for _, other in template.conditionals or ()]
        return [_templates(template.default_template), *others]
    return [type(template).__name__, template.get_template(), template.kwargs]
