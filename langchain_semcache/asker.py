"""What a twin was made with: the model beneath it, its cache, and what the lookup needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
