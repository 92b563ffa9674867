"""Switching caching on and off for a block."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

from semcache_core.control import (
    DEFAULT,
    current,
    no_cache,
    offline,
    read_only,
    refresh,
    settings,
    using,
)
from semcache_core.errors import ConfigError


@pytest.mark.parametrize(
    ("block", "read", "write"),
    [(no_cache, False, False), (refresh, False, True), (read_only, True, False)],
)
def test_a_block_sets_and_restores(block, read, write):
    """Inside the block the setting holds, after it the former one."""
    with block() as control:
        assert (current().read, current().write) == (read, write)
        assert current() is control
        assert not control.plain
    assert current() is DEFAULT


def test_blocks_nest():
    """An inner block changes only what it names."""
    with settings(top_k=3), offline(), settings(factor=2.0):
        assert (current().top_k, current().offline, current().factor) == (3, True, 2.0)


def test_a_block_ends_with_an_error():
    """The setting does not outlive an exception."""
    with pytest.raises(ZeroDivisionError), no_cache():
        raise ZeroDivisionError
    assert current() is DEFAULT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_k": 0}, "top_k: 0"),
        ({"top_k": "5"}, "top_k: '5'"),
        ({"factor": -1}, "factor: -1"),
        ({"factor": float("nan")}, "factor: nan"),
        ({"topk": 5}, "unknown name 'topk'"),
    ],
)
def test_a_wrong_setting_is_refused(changes, message):
    """The error names the setting and what was given."""
    with pytest.raises(ConfigError, match=message), settings(**changes):
        pass
    assert current() is DEFAULT


async def test_tasks_started_inside_keep_it_outside():
    """A task takes the setting of the place where it was made."""

    async def seen():
        await asyncio.sleep(0)
        return current().read

    with no_cache():
        task = asyncio.create_task(seen())
    assert await task is False
    assert await seen() is True


def test_a_copied_context_carries_it_into_a_thread():
    """The documented way for a raw thread pool."""
    with ThreadPoolExecutor(1) as pool, no_cache():
        context = contextvars.copy_context()
        assert pool.submit(context.run, current).result().read is False


def test_a_setting_taken_earlier_can_be_put_in_force():
    """Adapters take the setting when the call is made and use it when it runs."""
    with no_cache():
        taken = current()
    with using(taken):
        assert current().read is False
