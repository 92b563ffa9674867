"""What the leaves of a twin share: the model beneath it, its cache, and what the lookup needs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from semcache_core.control import Control, changed
from semcache_core.turns import Turns

if TYPE_CHECKING:
    from langchain_semcache.planning import Planner
    from langchain_semcache.reading import Reading
    from semcache_core.cache import SemanticCache

T = TypeVar("T")
OF = "__semcache_of__"
"""The attribute of a twin's class that names the class it was made from."""
TWIN = "__semcache_twin__"
"""The attribute of a twin's class that holds its `Twinned`."""
PYDANTIC_SLOTS = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


@dataclass(frozen=True, slots=True)
class Twinned:
    """What a twin was made with."""

    reading: Reading
    turns: Turns | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def cache(self) -> SemanticCache:
        """Any semcache cache."""
        return self.reading.cache

    @property
    def planner(self) -> Planner:
        """How this twin reads requests."""
        planner = self.reading.planner
        return planner if self.turns is None else replace(planner, turns=self.turns)

    def control(self) -> Control:
        """The setting in force for this twin, here and now."""
        return changed(self.reading.control(), dict(self.settings))


@lru_cache(maxsize=1024)
def takes_run_manager(leaf: Callable[..., Any]) -> bool:
    """Whether a model's method names a run manager; LangChain hands it to no other."""
    return "run_manager" in signature(leaf).parameters


def quiet(run_manager: Any) -> Any:
    """The run manager without its handlers, still the parent of what the model runs inside.

    Several runs may read one stream, so each run's tokens are announced where they are read.
    """
    muted = copy.copy(run_manager)
    muted.handlers = []
    return muted


def original(model: T) -> T:
    """The model beneath a twin, sharing its state: what a miss runs on; any other as it is.

    LangChain's default `_agenerate` and `_astream` call `self._generate` and `self._stream`: on the
    twin, a leader would come back to its own flight.
    """
    kind = getattr(type(model), OF, None)
    if kind is None:
        return model
    plain: T = kind.__new__(kind)
    object.__setattr__(plain, "__dict__", model.__dict__)
    for slot in PYDANTIC_SLOTS:
        object.__setattr__(plain, slot, getattr(model, slot))
    return plain
