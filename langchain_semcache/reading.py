"""What LangChain's side keeps beside a cache: how its requests are read, and the twins' classes.

Kept apart from the cache's class, so that a twin or the middleware takes any semcache cache: the
core's, LlamaIndex's, or this package's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.runnables.config import RunnableConfig

from langchain_semcache.planning import Plan, Planner
from langchain_semcache.running import OFF, effective, running_config
from semcache_core.cache import SemanticCache as Core
from semcache_core.control import UNKEYED, Control, changed
from semcache_core.errors import ConfigError
from semcache_core.lru import LRU
from semcache_core.models import Prompt
from semcache_core.turns import Turns

T = TypeVar("T")
When = Callable[[RunnableConfig], bool]
_OFF = "this kind of turn is switched off (turns=, cacheable=), or a tool failed in it"
log = logging.getLogger("semcache")


class Reading:
    """How one cache reads LangChain's requests."""

    def __init__(self, cache: Core, planner: Planner, when: When | None = None) -> None:
        self.cache = cache
        self.planner = planner
        self.plans: LRU[Any, Plan] = LRU(4096)
        # Bounded: a setting can be a user's session, and then each user has a class.
        self.twins: LRU[Any, type] = LRU(256)
        self.latest: Prompt | None = None
        """The newest request with a question, for `explain`."""
        self._when = when

    def control(self) -> Control:
        """The setting in force here, with what the running config and `when` say."""
        control = effective()
        if self._when is None or self._allowed(self._when):
            return control
        return changed(control, OFF)

    def usable(
        self, plan: Callable[[], Plan], control: Callable[[], Control] | None = None
    ) -> Plan | None:
        """The plan; None if nothing is to be done, or if it failed (logged and counted).

        With the `control` of the call that is to be made: raises `OfflineMiss` for None if the
        model may not be asked.
        """
        made = self.cache.attempt(plan)
        if made is None or made.mode == "off":
            if control is not None:
                control().past(UNKEYED if made is None else _OFF)
            return None
        if made.prompt.query is not None:
            self.latest = made.prompt
        return made

    async def planned(self, plan: Callable[[], T]) -> T:
        """`plan()` in a worker thread if it asks a model, which has no place on the event loop."""
        return await asyncio.to_thread(plan) if self.planner.slow else plan()

    def _allowed(self, when: When) -> bool:
        try:
            return bool(when(running_config()))
        except Exception as error:  # noqa: BLE001  # the user's call must go on, without the cache
            log.warning("semcache: when=%r failed, so nothing is cached: %r", when, error)
            return False


def reading_of(cache: Any) -> Reading:
    """That of any semcache cache, by the defaults if its class says nothing of LangChain.

    Raises `ConfigError` for what is no cache of semcache's.
    """
    if not isinstance(cache, Core):
        raise ConfigError(f"cache: {cache!r} was given; give a langchain_semcache.SemanticCache")
    found: Reading = cache.beside.setdefault(Reading, Reading(cache, Planner(Turns())))
    return found
