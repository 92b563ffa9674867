"""A twin's `with_structured_output`: its parser reports what it refuses, so that a retry recovers.

What a schema tells is refused before it is stored (`expected`); a class may tell more.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from langchain_core.runnables import RunnableSequence

from langchain_semcache.asker import TWIN
from langchain_semcache.reporting import rejecting


def structured_of(kind: Any) -> Any:
    """The method for a twin of this class."""
    own = kind.with_structured_output

    @wraps(own)
    def with_structured_output(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = own(self, *args, **kwargs)
        if type(made) is not RunnableSequence:
            return made
        cache = getattr(type(self), TWIN).cache
        return made.model_copy(update={"last": rejecting(made.last, cache)})

    return with_structured_output
