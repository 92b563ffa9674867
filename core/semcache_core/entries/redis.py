"""The record in Redis, or in what speaks its protocol (Valkey, Dragonfly)."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from semcache_core.entries import redis_scripts as scripts
from semcache_core.entries.redis_faults import translated
from semcache_core.entries.redis_rows import arguments, to_entry
from semcache_core.entries.rows import tenant
from semcache_core.errors import (
    ConfigError,
    IncompatibleError,
    MissingDependency,
    StoreClosed,
    StoreReplaced,
)
from semcache_core.expiry import ORDERED, check_rule, take
from semcache_core.models import Change, Entry, Figures, Usage
from semcache_core.waiting import Breaker

if TYPE_CHECKING:
    import redis

_log = logging.getLogger(__name__)

T = TypeVar("T")

SCHEMA = b"1"
_PAGE = 500
_LOG_KEPT = 100_000
_TIMEOUTS = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}
"""Seconds without which the client waits for ever; each can be given in the URL instead."""
_LIGHT, _WHOLE = ("s", "h", "v", "u", "l"), ("s", "h", "v", "u", "l", "p")


class RedisEntries:
    """An `EntryStore` in Redis (6.2 or newer).

    `source`: a URL, `redis://`, `rediss://` (TLS) or `unix://`, with the client's options and
    `prefix` (default `semcache`) in its query, or a `redis.Redis` of the user's, which stays open.
    Entries with an end expire by Redis' own clock too; what counts them is cleared behind that.

    What is acknowledged is as durable as the server makes it: `appendonly yes` with `appendfsync
    always` or `everysec`. A server whose memory may fill up should evict nothing, or only keys with
    a TTL (`volatile-...`). Raises `ConfigError`, `MissingDependency`, `IncompatibleError`,
    `StoreError`.
    """

    shared = True
    read_only = False

    def __init__(self, source: str | redis.Redis, *, prefix: str = "semcache") -> None:
        self._owned = isinstance(source, str)
        self._client, prefix = _client(source, prefix)
        self._p = f"{{{prefix}}}"
        self._breaker = Breaker(self._where)
        self._closed = False
        self.generation = 0
        self._scripts = {
            name: self._client.register_script(getattr(scripts, name))
            for name in ("PUT", "DELETE", "WIPE", "TOUCH", "CHANGES", "SWAP", "SET")
        }
        try:
            with translated(self._where):
                self._open()
        except BaseException:
            self.close()
            raise

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        wanted = list({entry.key: entry for entry in entries}.values())
        if not wanted:
            return []
        now = time.time()
        first = self._write("PUT", *(value for one in wanted for value in arguments(one, now)))
        return [entry.at(first + place) for place, entry in enumerate(wanted)]

    def get(self, keys: Sequence[str]) -> dict[str, Entry]:
        rows = self._fetch(list(dict.fromkeys(keys)), _WHOLE)
        return {key: entry for key, row in rows if (entry := to_entry(key, row))}

    def delete(self, keys: Sequence[str]) -> list[Change]:
        changes: list[Change] = []
        for part in _parts(list(dict.fromkeys(keys))):
            lines = self._write("DELETE", _LOG_KEPT, *part)
            changes += [_tombstone(line) for line in lines]
        return changes

    def touch(self, uses: Mapping[str, tuple[int, float]]) -> None:
        for part in _parts(list(uses.items())):
            self._write(
                "TOUCH", *(value for key, (more, last) in part for value in (key, more, repr(last)))
            )

    def changes(self, after: int, limit: int) -> list[Change] | None:
        found: list[Change] = []
        while len(found) < limit:
            page = self._changes(after, limit - len(found))
            if page is None:
                return None
            lines, after = page
            if not after:
                break
            found += lines
        return found

    def figures(self) -> Figures:
        def read() -> list[Any]:
            return list(self._client.hmget(self._p, ["id", "seq", "entries", "size"]))

        identity, *numbers = self._read(read)
        if identity != self._id:
            self._exchange()
            numbers = self._read(read)[1:]
        return Figures(*map(int, numbers))

    def scope(self, scope: str) -> Iterator[Entry]:
        return self._pages(f":scope:{scope}", _LIGHT)

    def entries(self, namespace: str | None = None) -> Iterator[Entry]:
        name = ":log" if namespace is None else f":tenant:{tenant(namespace)}"
        return self._pages(name, _WHOLE)

    def count(self, scope: str | None = None) -> int:
        if scope is None:
            return self.figures().count
        return int(self._read(lambda: self._client.zcard(f"{self._p}:scope:{scope}")))

    def doomed(self, rule: str, excess: int, excess_bytes: int, now: float) -> list[str]:
        check_rule(rule, ORDERED)
        limit = max(excess, _PAGE)
        while True:
            ordered = self._victims(rule, limit, now)
            keys = take(ordered, excess, excess_bytes)
            if len(keys) < len(ordered) or len(ordered) < limit:
                return keys
            limit *= 4

    def expired(self, now: float, limit: int) -> list[str]:
        return self._expired(now, limit)

    def sample(self, count: int) -> list[Usage]:
        keys = self._ordered("random", count)
        rows = self._fetch(keys, _LIGHT)
        infos = self._read(lambda: self._client.hmget(f"{self._p}:info", keys)) if keys else []
        return [
            Usage(key, int(orjson.loads(info)[2]), entry.uses, entry.tokens, entry.last_used)
            for (key, row), info in zip(rows, infos, strict=True)
            if info and (entry := to_entry(key, row))
        ]

    def meta(self, name: str) -> str | None:
        found = self._read(lambda: self._client.hget(f"{self._p}:meta", name))
        return None if found is None else found.decode()

    def set_meta(self, name: str, value: str) -> None:
        self._write("SET", name, value)

    def metas(self) -> dict[str, str]:
        found = self._read(lambda: self._client.hgetall(f"{self._p}:meta"))
        return {name.decode(): value.decode() for name, value in found.items()}

    def swap_meta(self, name: str, old: str | None, new: str) -> bool:
        return bool(self._write("SWAP", name, int(old is not None), old or "", new))

    def clear(self, namespace: str | None = None) -> int:
        if namespace is None:
            return self._wipe()
        deleted = 0
        while keys := self._keys(f":tenant:{tenant(namespace)}", 0, _PAGE - 1):
            deleted += len(self.delete(keys))
        return deleted

    def close(self) -> None:
        self._closed = True
        if self._owned:
            self._client.close()

    # -- inside -----------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        told = self._client.connection_pool.connection_kwargs
        place = told.get("path") or f"{told.get('host')}:{told.get('port')}"
        return f"Redis at {place}, database {told.get('db') or 0}"

    def _open(self) -> None:
        """Begin an empty record, unless there is one."""
        with self._client.pipeline() as pipe:
            for name, value in {"seq": 0, "entries": 0, "size": 0, "trimmed": 0}.items():
                pipe.hsetnx(self._p, name, str(value))
            pipe.hsetnx(self._p, "schema", SCHEMA)
            pipe.hsetnx(self._p, "id", uuid.uuid4().hex)
            pipe.execute()
        found: list[Any] = self._client.hmget(self._p, ["schema", "id"])
        schema, self._id = found
        if schema != SCHEMA:
            raise IncompatibleError(
                f"{self._where} has a record of version {schema!r}, this program writes version"
                f" {SCHEMA!r}: use the version that wrote it, or another prefix"
            )

    def _exchange(self) -> StoreReplaced:
        with translated(self._where):
            self._open()
        self.generation += 1
        lost = StoreReplaced(
            f"{self._where} was emptied while the cache was open, and with it the answers it had;"
            " what is stored from now on begins a new record there"
        )
        _log.warning("semcache: %s", lost)
        return lost

    def _read(self, work: Callable[[], Any]) -> Any:
        if self._closed:
            raise StoreClosed("the record was used after close()")
        from redis.exceptions import ConnectionError as Unreached
        from redis.exceptions import TimeoutError as Silent

        begun = self._breaker.check()
        with translated(self._where):
            try:
                return work()
            except (Unreached, Silent):
                self._breaker.failed(begun)
                raise

    def _write(self, script: str, *values: Any) -> Any:
        from redis.exceptions import ResponseError

        def work() -> Any:
            return self._scripts[script](keys=[self._p], args=[self._id, *values])

        try:
            return self._read(work)
        except Exception as error:
            if isinstance(error.__cause__, ResponseError) and "GONE" in str(error.__cause__):
                raise self._exchange() from None
            raise

    def _fetch(
        self, keys: Sequence[str], fields: Sequence[str]
    ) -> list[tuple[str, list[bytes | None]]]:
        """Rows of those keys, without payloads unless asked for; all None: there is none."""

        def work() -> list[Any]:
            with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hmget(f"{self._p}:e:{key}", list(fields))
                return pipe.execute()

        return list(zip(keys, self._read(work), strict=True))

    def _changes(self, after: int, limit: int) -> tuple[list[Change], int] | None:
        """At most `limit` lines and the seq they go up to (0: there are none); None: trimmed."""
        found = self._read(lambda: self._scripts["CHANGES"](keys=[self._p], args=[after, limit]))
        if found is None:
            return None
        written, deleted = ({int(seq): name for name, seq in _pairs(flat)} for flat in found)
        seqs = sorted([*written, *deleted])[:limit]
        rows = dict(self._fetch([written[seq].decode() for seq in seqs if seq in written], _LIGHT))
        lines = (
            _tombstone(deleted[seq])
            if seq in deleted
            else _written(written[seq].decode(), seq, rows)
            for seq in seqs
        )
        return [line for line in lines if line], max(seqs, default=0)

    def _pages(self, name: str, fields: Sequence[str]) -> Iterator[Entry]:
        """Entries of a sorted set by seq. What was replaced meanwhile comes up again later."""
        after: float = 0
        while page := self._page(name, after):
            rows = self._fetch([key.decode() for key, _ in page], fields)
            for (key, row), (_, seq) in zip(rows, page, strict=True):
                entry = to_entry(key, row)
                if entry is not None and entry.seq == seq:
                    yield entry
            after = page[-1][1]

    def _page(self, name: str, after: float) -> list[tuple[bytes, float]]:
        found: list[tuple[bytes, float]] = self._read(
            lambda: self._client.zrangebyscore(
                self._p + name, f"({after:.0f}", "+inf", start=0, num=_PAGE, withscores=True
            )
        )
        return found

    def _keys(self, name: str, first: int, last: int) -> list[str]:
        found = self._read(lambda: self._client.zrange(self._p + name, first, last))
        return [key.decode() for key in found]

    def _expired(self, now: float, limit: int) -> list[str]:
        found = self._read(
            lambda: self._client.zrangebyscore(
                f"{self._p}:expires", "-inf", repr(now), start=0, num=limit
            )
        )
        return [key.decode() for key in found]

    def _victims(self, rule: str, limit: int, now: float) -> list[tuple[str, int]]:
        keys = dict.fromkeys(self._expired(now, limit))
        if len(keys) < limit:
            gone = len(keys)
            keys |= dict.fromkeys(self._ordered(rule, limit + gone))
        wanted = list(islice(keys, limit))
        if not wanted:
            return []
        infos = self._read(lambda: self._client.hmget(f"{self._p}:info", wanted))
        return [
            (key, int(orjson.loads(info)[2]))
            for key, info in zip(wanted, infos, strict=True)
            if info
        ]

    def _ordered(self, rule: str, limit: int) -> list[str]:
        if rule != "random":
            return self._keys(":log" if rule == "fifo" else f":{rule}", 0, limit - 1)
        found = self._read(lambda: self._client.hrandfield(f"{self._p}:info", limit))
        random.shuffle(found)  # all of them, if there are fewer, come in the order of the hash
        return [key.decode() for key in found]

    def _wipe(self) -> int:
        upto, wiped = self.figures().seq, 0
        while True:
            count = int(self._write("WIPE", upto, _PAGE))
            wiped += count
            if count < _PAGE:
                return wiped


def _client(source: str | redis.Redis, prefix: str) -> tuple[redis.Redis, str]:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise MissingDependency("a record in Redis", "redis", "redis") from error
    if not isinstance(source, str):
        if source.connection_pool.connection_kwargs.get("decode_responses"):
            raise ConfigError("entries: the Redis client must not decode (decode_responses=False)")
        return source, prefix
    parts = urlsplit(source)
    options = dict(parse_qsl(parts.query))
    prefix = options.pop("prefix", prefix)
    timeouts = {name: value for name, value in _TIMEOUTS.items() if name not in options}
    url = urlunsplit(parts._replace(query=urlencode(options)))
    try:
        # One more try is for a connection that the server dropped while it lay idle.
        made = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **timeouts)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"entries is no URL of Redis, redis://host:6379/0: {error}") from error
    return made, prefix


def _written(key: str, seq: int, rows: Mapping[str, list[bytes | None]]) -> Change | None:
    entry = to_entry(key, rows[key])
    return None if entry is None or entry.seq != seq else Change(seq, key, entry.scope, entry)


def _tombstone(line: bytes) -> Change:
    key, scope, seq = orjson.loads(line)
    return Change(int(seq), key, scope)


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _parts(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), _PAGE):
        yield items[start : start + _PAGE]
