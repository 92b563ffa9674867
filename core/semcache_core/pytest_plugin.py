"""For pytest: the fixture `semcache_gate`, which fails a test when a cache would serve near misses.

An installed entry point, hence imported in every test run: pytest is all that it imports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from semcache_core.evaluation import Report


@pytest.fixture
def semcache_gate() -> Callable[..., Report]:
    """`semcache_core.evaluation.check_traps`: `semcache_gate(cache, "tests/traps.csv")`."""

    def gate(*args: Any, **kwargs: Any) -> Report:
        from semcache_core.evaluation import check_traps

        return check_traps(*args, **kwargs)

    return gate
