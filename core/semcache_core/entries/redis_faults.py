"""What Redis and its client raise, as errors of ours. No message shows a password or an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semcache_core.errors import StoreError, StoreReadOnly


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the client raises into a `StoreError` that names the server."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise fault(error, where) from error


def fault(error: Exception, where: str) -> StoreError:
    """The error to raise for what the client said."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "READONLY" in said or "read only replica" in said:
        return StoreReadOnly(f"{where} cannot be written ({said}): stored answers are still served")
    if "OOM" in said or "maxmemory" in said:
        return StoreError(f"{where}: its memory is full ({said}); nothing was stored")
    if "MISCONF" in said:
        return StoreError(f"{where}: its disk is full or failing ({said}); nothing was stored")
    return StoreError(f"{where}: {said}")
