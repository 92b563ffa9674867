"""What the leaves of all twins share: one call of a leaf, and which of them a twin replaces."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_semcache.asker import TWIN, Twinned, original

if TYPE_CHECKING:
    from typing_extensions import Self

M = TypeVar("M")
A = TypeVar("A")


def replaced(kind: Any, base: Any, ours: Mapping[str, Any]) -> dict[str, Any]:
    """What a twin of this class has in place of the model's own leaves.

    `_stream` and `_astream` are replaced only where the model can stream: LangChain takes their
    presence for the ability.
    """
    streams = kind._stream is not base._stream
    able = {"_stream": streams, "_astream": streams or kind._astream is not base._astream}
    return {name: leaf for name, leaf in ours.items() if able.get(name, True)}


@dataclass(frozen=True, slots=True)
class Ask(Generic[M, A]):
    """One call of a leaf, to be made on the model beneath the twin for what the cache has not."""

    how: Twinned
    model: M
    asked: A
    """Messages, or prompts."""
    stop: list[str] | None
    kwargs: dict[str, Any]
    run_manager: Any = None

    @classmethod
    def of(cls, twin: M, *call: Any) -> Self:
        """`call` is what is asked, stop, the other arguments, and the run manager, if any."""
        return cls(getattr(type(twin), TWIN), original(twin), *call)

    def given(self, leaf: Any) -> dict[str, Any]:
        """The arguments of a whole answer."""
        named = _takes_run_manager(leaf.__func__)
        return {**self.kwargs, "run_manager": self.run_manager} if named else self.kwargs

    def silent(self) -> dict[str, Any]:
        """The arguments of a stream: its tokens are announced by whoever reads it."""
        if self.run_manager is None:
            return self.kwargs
        return {**self.kwargs, "run_manager": _quiet(self.run_manager)}


@lru_cache(maxsize=1024)
def _takes_run_manager(leaf: Callable[..., Any]) -> bool:
    """Whether a model's method names a run manager; LangChain hands it to no other."""
    return "run_manager" in signature(leaf).parameters


def _quiet(run_manager: Any) -> Any:
    """The run manager without its handlers, still the parent of what the model runs inside.

    Several runs may read one stream, so each run's tokens are announced where they are read.
    """
    muted = copy.copy(run_manager)
    muted.handlers = []
    return muted
