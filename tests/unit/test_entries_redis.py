"""The record in Redis, beyond what every record must do."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import Server, redis
from store_values import entry, unit

from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.entries.redis import RedisEntries
from semcache_core.entries.redis_faults import fault
from semcache_core.errors import (
    ConfigError,
    IncompatibleError,
    StoreError,
    StoreReadOnly,
    StoreReplaced,
)

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, Server | None]]:
    """A server for all tests here."""
    with redis() as server:
        yield server


@pytest.fixture
def url(running: tuple[str, Server | None]) -> str:
    """The URL of a database with nothing in it."""
    client(running[0]).flushdb()
    return running[0]


def until(condition: Callable[[], object]) -> None:
    """Wait for what comes about by itself."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def client(url: str) -> Any:
    """A client to look at what is there."""
    from redis import Redis

    return Redis.from_url(url)


def test_redis_lets_entries_expire(url: str) -> None:
    """An entry's end is Redis' own TTL too; counts follow when it is purged."""
    record = RedisEntries(url)
    now = time.time()
    record.put([entry("soon", expires=now + 0.2), entry("late", expires=now + 100), entry("never")])
    ttls = {key: client(url).pttl(f"{{semcache}}:e:{key}") for key in ("soon", "late", "never")}
    assert 0 < ttls["soon"] <= 200
    assert 90_000 < ttls["late"] <= 100_000
    assert ttls["never"] == -1
    record.touch({"late": (1, now)})
    assert client(url).pttl("{semcache}:e:late") > 0
    time.sleep(0.3)
    assert record.get(["soon", "late", "never"]).keys() == {"late", "never"}
    record.touch({"soon": (1, now)})  # of what is gone no ghost is made
    assert not client(url).exists("{semcache}:e:soon")
    assert record.expired(time.time(), 10) == ["soon"]
    assert record.figures().count == 3
    assert [change.key for change in record.delete(["soon"])] == ["soon"]
    assert record.figures().count == 2
    assert [e.key for e in record.scope("scope")] == ["late", "never"]
    record.close()


def test_nothing_is_left_behind(url: str) -> None:
    """Deleting and clearing take every key along but those of the record itself."""
    record = RedisEntries(url)
    for turn in range(3):
        record.put([entry(f"{turn}-{i}", expires=9e9, namespace=f"n{i}") for i in range(700)])
    record.delete([f"0-{i}" for i in range(700)])
    record.clear("n3")
    record.clear()
    assert sorted(client(url).keys()) == [b"{semcache}"]
    record.close()


def test_changes_skip_what_expired_and_go_on(url: str) -> None:
    """Lines of entries that Redis dropped do not hide what was written after them."""
    record = RedisEntries(url)
    record.put([entry(f"gone{i}", expires=time.time() + 0.1) for i in range(20)])
    record.put([entry("there")])
    time.sleep(0.2)
    changes = record.changes(0, 5)
    assert changes is not None
    assert [change.key for change in changes] == ["there"]
    record.close()


def test_tombstones_are_trimmed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who is too far behind is told to start anew."""
    monkeypatch.setattr("semcache_core.entries.redis._LOG_KEPT", 5)
    record = RedisEntries(url)
    for i in range(12):
        record.put([entry(f"k{i}")])
        record.delete([f"k{i}"])
    assert record.changes(0, 100) is None
    last = record.changes(record.figures().seq - 2, 100)
    assert last is not None
    assert [change.key for change in last] == ["k11"]
    record.close()


def test_emptied_while_open(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """After FLUSHALL the record begins anew, says so, and says it was another."""
    record = RedisEntries(url)
    record.put([entry("a")])
    client(url).flushdb()
    with pytest.raises(StoreReplaced, match="emptied"):
        record.put([entry("b")])
    assert record.generation == 1
    [stored] = record.put([entry("b")])
    assert stored.seq == 1
    client(url).flushdb()
    assert record.figures().count == 0
    assert record.generation == 2
    assert "semcache: Redis at" in caplog.text
    record.close()


def test_prefixes_are_apart(url: str) -> None:
    """Several caches in one database, told apart in the URL."""
    one, two = RedisEntries(url), RedisEntries(f"{url}?prefix=other")
    one.put([entry("a")])
    assert two.figures().count == 0
    two.put([entry("b")])
    assert one.clear() == 1
    assert two.get(["b"])
    one.close()
    two.close()


def test_clients_of_the_users(url: str) -> None:
    """A client stays open; one that decodes is refused."""
    from redis import Redis

    given = client(url)
    record = RedisEntries(given)
    record.put([entry("a")])
    record.close()
    assert given.ping()
    with pytest.raises(ConfigError, match="decode"):
        RedisEntries(Redis.from_url(url, decode_responses=True))


@pytest.mark.parametrize("bad", ["redis://host:port/0", "redis://h?socket_timeout=soon"])
def test_urls_are_checked(bad: str) -> None:
    """What is no URL is an error of configuration, and shows no password."""
    with pytest.raises(ConfigError, match="redis://host:6379"):
        RedisEntries(bad)


def test_newer_version(url: str) -> None:
    """A record of another version is left alone."""
    RedisEntries(url).close()
    client(url).hset("{semcache}", "schema", "9")
    with pytest.raises(IncompatibleError, match="version"):
        RedisEntries(url)


def test_damaged_entry(url: str) -> None:
    """What cannot be read counts as missing, and its neighbours are read."""
    record = RedisEntries(url)
    record.put([entry("a"), entry("b"), entry("c")])
    client(url).hset("{semcache}:e:a", "h", b"{not json")
    client(url).hset("{semcache}:e:b", "v", b"odd")
    assert record.get(["a", "b", "c"]).keys() == {"c"}
    assert [e.key for e in record.entries()] == ["c"]
    record.close()


def test_nobody_there() -> None:
    """A server that cannot be reached is named, and the password is not."""
    with pytest.raises(StoreError, match=r"Redis at 127\.0\.0\.1:9, database 2") as caught:
        RedisEntries("redis://me:hunter2@127.0.0.1:9/2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("READONLY You can't write against a read only replica.", StoreReadOnly, "cannot be writ"),
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreError, "memory is full"),
        ("MISCONF Redis is configured to save RDB snapshots", StoreError, "disk is full"),
        ("", StoreError, "Exception"),
    ],
)
def test_faults(said: str, kind: type[StoreError], words: str) -> None:
    """What the server says becomes an error of ours."""
    assert isinstance(fault(Exception(said), "Redis"), kind)
    assert words in str(fault(Exception(said), "Redis"))


def test_full_memory(url: str) -> None:
    """A put that finds no room is refused, counted, and nothing is half written."""
    with SemanticCache(entries=url, embedder=HashEmbedder()) as cache:
        assert cache.put("before", "answer")
        client(url).config_set("maxmemory", "1mb")
        try:
            assert not cache.put("question", "x" * 100_000)
            assert cache.get("before") == "answer"
            assert cache.stats().not_stored == {"StoreError": 1}
        finally:
            client(url).config_set("maxmemory", "0")
        assert cache.put("question", "x" * 100_000)
        assert cache.stats().entries == 2


def test_whole_cache(url: str) -> None:
    """The facade over Redis: exact and semantic, eviction, two processes' view of one another."""
    with (
        SemanticCache(entries=url, embedder=HashEmbedder(), max_entries=50, poll=0.0) as one,
        SemanticCache(entries=url, embedder=HashEmbedder(), poll=0.0) as two,
    ):
        assert one.put("how do I reset my password", "like this")
        assert two.get("how do I reset my password") == "like this"
        vector = HashEmbedder().embed(["how do I reset my password"])[0]
        assert two._parts.store.nearest(next(iter(two._parts.store.entries())).scope, vector, 1)
        for i in range(80):
            one.put(f"question {i}", str(i))
        assert one.stats().entries <= 50
        two.clear()
        assert one.get("question 79") is None


def test_server_killed_and_started_again() -> None:
    """Calls go through without it; afterwards everything acknowledged is there."""
    with redis() as (url, server):
        if server is None:
            pytest.skip("a server named by the environment is not ours to kill")
        with SemanticCache(entries=url, embedder=HashEmbedder(), poll=0.0) as cache:
            kept = [f"question {i}" for i in range(50) if cache.put(f"question {i}", i)]
            server.kill()
            assert cache.get("question 1") is None
            assert not cache.put("meanwhile", "lost")
            assert cache.stats().errors["StoreError"] >= 2
            server.start()
            assert len(kept) == 50
            assert all(cache.get(question) is not None for question in kept)
            assert cache.put("afterwards", "kept")


def test_server_that_hangs() -> None:
    """A server that takes connections and never answers holds a call up for its time limit."""
    with redis() as (url, server):
        if server is None:
            pytest.skip("a server named by the environment is not ours to stop")
        where = f"{url}?socket_timeout=0.3"
        with SemanticCache(entries=where, embedder=HashEmbedder(), poll=0.0) as cache:
            cache.put("a", "b")
            server.signal(signal.SIGSTOP)
            begun = time.monotonic()
            assert cache.get("a") is None
            assert not cache.put("c", "d")
            assert time.monotonic() - begun < 10
            assert cache.get("a") is None  # at once: nobody waits a second time
            server.signal(signal.SIGCONT)
            until(lambda: cache.get("a") == "b")


def test_vectors_keep_every_bit(url: str) -> None:
    """Vectors and payloads are bytes, never texts."""
    record = RedisEntries(url)
    record.put([entry("a", vector=unit(5), payload=bytes(range(256)))])
    found = record.get(["a"])["a"]
    assert found.payload == bytes(range(256))
    assert found.vector is not None and found.vector.tobytes() == unit(5).tobytes()
    record.close()
