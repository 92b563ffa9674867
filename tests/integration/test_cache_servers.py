"""One cache for many processes: a Chroma server for the vectors, a database for the answers."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from servers import chroma, mariadb, postgres, redis

from langchain_semcache import SemanticCache as ForLangChain
from llamaindex_semcache import SemanticCache as ForLlamaIndex
from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError

pytestmark = pytest.mark.server

RECORDS = {"postgresql": postgres, "mariadb": mariadb, "redis": redis}
SMALL = 30
"""Entries of a scope above which Chroma is asked."""


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    """The URL of a Chroma server for the tests that leave it alone."""
    with chroma() as (url, _):
        yield url


@pytest.fixture(scope="module", params=RECORDS)
def record(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of each kind of database."""
    with RECORDS[request.param]() as (url, _):
        yield url


def opened(url: str, entries: str, **options: Any) -> SemanticCache:
    """A cache over both servers that looks for others' entries at each lookup."""
    given: dict[str, Any] = {"embedder": HashEmbedder(), "poll": 0.0, "scan_limit": SMALL}
    return SemanticCache(url=url, entries=entries, **(given | options))


def until(condition: Callable[[], object], seconds: float = 120.0) -> float:
    """Wait for what another process does; returns how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - begun


def state(cache: SemanticCache) -> str:
    """What the index does."""
    return cache._parts.store.health().index


def filled(cache: SemanticCache, first: int = 0, count: int = 60) -> None:
    """Questions that are far from one another."""
    for i in range(first, first + count):
        assert cache.put(f"topic{i} word{i} thing{i}", i)


# -- all parts at work ----------------------------------------------------------------------------


def test_core_over_servers(index: str, record: str) -> None:
    """Two caches over one record and one index: both find all, exactly and by meaning."""
    with opened(index, record, threshold=0.5) as one, opened(index, record) as two:
        one.clear()
        filled(one)
        one.get("topic1 word1 thing1 please")
        assert one.flush()
        assert state(one) == "chroma"
        until(lambda: two.get("topic2 word2") is not None or state(two) == "chroma")
        assert two.get("topic7 word7 thing7") == 7
        for cache in (one, two):
            vector = cache._parts.embedder.embed(["topic9 word9 thing9"])[0]
            [entry, *_] = list(cache._parts.store.entries())
            [near] = cache._parts.store.nearest(entry.scope, vector, 1, 0.99)
            assert near.entry.query == "topic9 word9 thing9"
        two.clear()
        until(lambda: one.get("topic7 word7 thing7") is None)


def test_langchain_over_servers(index: str, record: str) -> None:
    """LangChain's class hands the servers on."""
    with ForLangChain(url=index, entries=record, embedding=HashEmbedder()) as cache:
        cache.clear()
        cache.update("question", "model", [ChatGeneration(message=AIMessage("answer"))])
        [found] = cache.lookup("question", "model") or []
        assert found.text == "answer"
        assert cache.stats().entries == 1


def test_llamaindex_over_servers(index: str, record: str) -> None:
    """LlamaIndex' class does as well."""
    with ForLlamaIndex(url=index, entries=record, embed_model=HashEmbedder()) as cache:
        cache.clear()
        assert cache.put("question", "answer")
        assert cache.get("question") == "answer"


# -- several processes ----------------------------------------------------------------------------

WRITER = """
import json, sys, time
from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
def nearest(cache, question):
    vector = cache._parts.embedder.embed([question])[0]
    store = cache._parts.store
    found = store.nearest(cache.prompt("json", None, question).scope, vector, 1, 0.999)
    return found[0].entry.query if found else None
url, entries, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with SemanticCache(url=url, entries=entries, embedder=HashEmbedder(), scan_limit=30) as cache:
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(count):
        assert cache.put(f"topic{me}x{i} word", [me, i])
    delays = []
    for other in range(4):
        for i in range(count):
            question, begun = f"topic{other}x{i} word", time.monotonic()
            while nearest(cache, question) != question:
                assert time.monotonic() - begun < 60, (other, i)
                time.sleep(0.01)
            delays.append(time.monotonic() - begun)
            assert cache.get(question) == [other, i]
    print(json.dumps({"delay": max(delays), "errors": dict(cache.stats().errors)}), flush=True)
"""


def test_four_processes(index: str, record: str) -> None:
    """Each writes, each finds what all have written, and nobody has an error."""
    with opened(index, record) as cache:
        cache.clear()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, index, record, str(me), "40"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        said.append(json.loads(out))
    assert [one["errors"] for one in said] == [{}] * 4
    print("seen after at most", max(one["delay"] for one in said), "s")
    with opened(index, record) as cache:
        assert cache.stats().entries == 160


def test_reports_reach_other_processes(index: str, record: str) -> None:
    """A hit reported wrong in one process is not served in another, and no report is lost."""
    with opened(index, record) as one, opened(index, record) as two:
        one.clear()
        blocked = [cache._parts.blocked for cache in (one, two)]
        assert not blocked[1].is_blocked("p", "e")
        blocked[0].block("p", "e")
        blocked[1].block("q", "f")
        for each in blocked:
            until(lambda each=each: each.is_blocked("p", "e") and each.is_blocked("q", "f"))


# -- servers that fail ----------------------------------------------------------------------------


def test_chroma_killed_and_started_again(tmp_path: Path) -> None:
    """Without the server scopes are scanned; when it is back it is used again."""
    with chroma() as (url, server), opened(url, f"sqlite:///{tmp_path / 'r.db'}") as cache:
        filled(cache)
        cache.get("something else")
        assert cache.flush()
        assert state(cache) == "chroma"
        server.kill()
        for i in range(60):
            assert cache.get(f"topic{i} word{i} thing{i}") == i
        assert cache.get("unheard of") is None
        assert cache.put("topic99 word99", 99)
        assert state(cache) != "chroma"
        assert not cache.stats().errors.get("ChromaFailed")
        server.start()
        until(lambda: cache.get("unheard of") is not None or state(cache) == "chroma")
        assert cache.flush()
        assert near(cache, "topic99 word99") == "topic99 word99"
        assert near(cache, "topic7 word7 thing7") == "topic7 word7 thing7"


def near(cache: SemanticCache, question: str) -> str | None:
    """The nearest question, by its vector."""
    vector = cache._parts.embedder.embed([question])[0]
    entry = next(iter(cache._parts.store.entries()))
    found = cache._parts.store.nearest(entry.scope, vector, 1, 0.99)
    return found[0].entry.query if found else None


def test_chroma_hangs(tmp_path: Path) -> None:
    """A server that takes requests and does not answer costs one time limit, not one a call."""
    record = f"sqlite:///{tmp_path / 'r.db'}"
    with chroma() as (url, server), opened(url, record, url_timeout=0.5) as cache:
        filled(cache)
        cache.get("something else")
        cache.flush()
        server.signal(signal.SIGSTOP)
        begun = time.monotonic()
        for i in range(20):
            assert near(cache, f"topic{i} word{i} thing{i}") == f"topic{i} word{i} thing{i}"
        assert time.monotonic() - begun < 10  # a limit each would be the whole of it
        server.signal(signal.SIGCONT)
        until(lambda: state(cache) == "chroma")


def test_no_chroma_at_the_beginning(tmp_path: Path) -> None:
    """A cache opens without its index server, and uses it from when it is there."""
    with chroma() as (url, server):
        server.kill()
        with opened(url, f"sqlite:///{tmp_path / 'r.db'}") as cache:
            filled(cache)
            assert near(cache, "topic3 word3 thing3") == "topic3 word3 thing3"
            assert not cache.flush()
            server.start()
            until(cache.flush)
            assert state(cache) == "chroma"


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_database_killed_and_started_again(index: str, kind: str) -> None:
    """Calls go through without the record; what was acknowledged is there when it is back."""
    with RECORDS[kind]() as (url, server):
        if server is None:
            pytest.skip("a server named by the environment is not ours to kill")
        with opened(index, url) as cache:
            filled(cache, count=20)
            server.kill()
            assert cache.get("unheard of") is None
            assert not cache.put("meanwhile", 1)
            assert cache.stats().errors["StoreError"] >= 2
            assert cache.stats().lookups == 1
            server.start()
            until(lambda: cache.put("afterwards", 2))
            for i in range(20):
                assert cache.get(f"topic{i} word{i} thing{i}") == i
            assert cache.get("meanwhile") is None


def test_row_locked_on_a_server(index: str) -> None:
    """A transaction that holds the record's counter holds up no call for long."""
    from sqlalchemy import create_engine

    with postgres() as (url, _), opened(index, url) as cache:
        cache.put("before", 1)
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM semcache_state FOR UPDATE")
            begun = time.monotonic()
            assert not cache.put("meanwhile", 2)
            assert time.monotonic() - begun < 15  # it would be for ever
            assert cache.get("before") == 1
            connection.rollback()
        engine.dispose()
        assert cache.put("afterwards", 3)


# -- a proxy with credentials in front of Chroma --------------------------------------------------


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on that carry the right header."""

    target = ""
    protocol_version = "HTTP/1.1"

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer right" or not self.path.startswith("/deep"):
            self._answer(401, b'{"error": "who are you?"}')
            return
        answer = httpx.request(
            self.command,
            self.target + self.path.removeprefix("/deep"),
            content=body,
            headers={"Content-Type": "application/json"},
        )
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _hand_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxied(target: str, certificate: Path | None = None) -> Iterator[str]:
    """The URL of a proxy in front of `target`."""
    handler = type("Handler", (Proxy,), {"target": target})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_port}/deep"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certified(folder: Path) -> Path:
    """A certificate of our own for this machine; its key lies beside it."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is not installed")
    made = folder / "own.pem"
    subject = "/CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2 -nodes -newkey rsa:2048"
    command = [tool, "req", "-x509", "-subj", *subject.split()]
    command += ["-keyout", str(made.with_suffix(".key")), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.parametrize("tls", [False, True])
def test_headers_path_and_certificate(tmp_path: Path, index: str, tls: bool) -> None:
    """Credentials in headers, a path, and a certificate of one's own reach the server."""
    certificate = certified(tmp_path) if tls else None
    entries = f"sqlite:///{tmp_path / 'r.db'}"
    verify = {"url_verify": str(certificate)} if tls else {}
    with proxied(index, certificate) as url:
        right = {"Authorization": "Bearer right"}
        with opened(url, entries, url_headers=right, **verify) as cache:
            filled(cache)
            cache.get("something else")
            assert cache.flush()
            assert state(cache) == "chroma"
            assert near(cache, "topic3 word3 thing3") == "topic3 word3 thing3"
        wrong = {"Authorization": "Bearer wrong"}
        with opened(url, entries, url_headers=wrong, **verify) as cache:
            assert near(cache, "topic3 word3 thing3") == "topic3 word3 thing3"
            assert not cache.flush() or state(cache) != "chroma"
            assert "wrong" not in state(cache)


def test_certificate_nobody_knows(tmp_path: Path, index: str) -> None:
    """A certificate that is not trusted is not used, unless one says so; lookups scan."""
    right = {"Authorization": "Bearer right"}
    with proxied(index, certified(tmp_path)) as url:
        entries = f"sqlite:///{tmp_path / 'r.db'}"
        with opened(url, entries, url_headers=right) as cache:
            filled(cache)
            assert near(cache, "topic3 word3 thing3") == "topic3 word3 thing3"
            assert not cache.flush()
        with opened(url, entries, url_headers=right, url_verify=False) as cache:
            cache.get("something else")
            until(cache.flush)
            assert state(cache) == "chroma"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "chroma:8000"}, "http"),
        ({"url": "http://"}, "http"),
        ({"url": "http://host:port"}, "http"),
        ({"url": "http://me:secret@host"}, "url_headers"),
        ({"url": "http://host", "url_timeout": 0}, "url_timeout"),
        ({"url": "http://host", "url_timeout": "soon"}, "url_timeout"),
        ({"url": "http://host", "url_headers": "secret"}, "url_headers"),
        ({"url_headers": {"a": "secret"}}, "give its url"),
        ({"url_timeout": 3}, "give its url"),
    ],
)
def test_bad_addresses(options: dict[str, Any], said: str) -> None:
    """What cannot be an address is named, and no secret is repeated."""
    with pytest.raises(ConfigError, match=said) as caught:
        SemanticCache(embedder=HashEmbedder(), **options)
    assert "secret" not in str(caught.value)
