"""`semcache serve` as a program: options, files, environment, a clean end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from chat_upstream import Upstream, last_question

import semcache_core.server
from semcache_core.cache import SemanticCache
from semcache_core.cli import main
from semcache_core.config import load
from semcache_core.errors import MissingDependency
from semcache_core.protocols import Embedder
from semcache_core.server import ServerSettings
from semcache_core.server.reading import Listening, settings_from

from .conftest import said

QUESTION = "How do I reset my password?"
PROGRAM = [sys.executable, "-c", "from semcache_core.cli import main; main()", "serve"]


@contextmanager
def program(
    *options: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running program and its address, once it says that it listens."""
    process = subprocess.Popen(
        [*PROGRAM, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+/v1", line)
        assert found, line + (process.stderr.read() if process.stderr else "")
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and all it wrote to standard error."""
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a start that cannot work says, on one line; it must be a usage error."""

    def start(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["semcache", "serve", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return start


def ask(url: str, question: str = QUESTION, **more: Any) -> httpx.Response:
    """A chat completion."""
    body = {"model": "gpt-4o", "messages": said(question), **more}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=60)


@pytest.mark.slow
def test_it_serves_keeps_and_ends_well(
    provider: Upstream, tmp_path: Path, minilm: Embedder
) -> None:
    """A stream under way is finished when SIGTERM comes, stored, and there after a restart."""
    path = str(tmp_path / "cache")
    provider.pause = 0.1
    options = ("--upstream", provider.url, "--path", path)
    with program(*options) as (process, url):
        texts: list[str] = []
        reading = threading.Thread(target=lambda: texts.append(ask(url, stream=True).text))
        reading.start()
        while not provider.sent:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        code, errors = ended(process)
        reading.join()
    assert code == 0, errors
    assert texts[0].endswith("data: [DONE]\n\n")
    assert "Traceback" not in errors
    with program(*options) as (process, url):
        assert ask(url).headers["x-semcache"] == "hit"
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0
    assert provider.calls == 1
    with SemanticCache(path, embedder=minilm) as cache:
        assert cache.stats().entries == 1


def test_it_ends_by_a_signal_in_this_process_too(
    provider: Upstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_signals: None,
) -> None:
    """As the program above, where its lines are counted."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    seen: list[str] = []

    def use() -> None:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(f"{url}/health/live")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        seen.extend(ask(f"{url}/v1").headers["x-semcache"] for _ in range(2))
        os.kill(os.getpid(), signal.SIGTERM)

    file = tmp_path / "semcache.yaml"
    file.write_text("server: {turns: {react: off}, grace: 5}", "utf-8")
    options = ["--upstream", provider.url, "--port", port, "--tool-calls", "exact"]
    command = ["semcache", "serve", "--config", str(file), "--json", *options]
    monkeypatch.setattr(sys, "argv", command)
    user = threading.Thread(target=use)
    user.start()
    with pytest.raises(SystemExit) as ended_with:
        main()
    user.join()
    assert not ended_with.value.code
    assert seen == ["miss", "hit"]
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "url": f"http://127.0.0.1:{port}/v1",
        "upstream": provider.url,
        "kept": False,
    }


@pytest.fixture
def own_signals() -> Iterator[None]:
    """What a server sets is put back; the levels of loggers too."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_new_key_is_shown_with_its_digest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key for the caller, and for the server what cannot be turned back into it."""
    monkeypatch.setattr(sys, "argv", ["semcache", "serve", "--new-key", "acme"])
    with pytest.raises(SystemExit) as ended_with:
        main()
    shown = capsys.readouterr().out
    assert not ended_with.value.code
    key, digest = re.findall(r"sk-semcache-\S+|sha256:\w{64}", shown)
    assert digest == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    monkeypatch.setattr(sys, "argv", ["semcache", "serve", "--new-key", "acme", "--json"])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"tenant", "key", "digest"}
    assert told["key"] != key


@pytest.mark.slow
def test_a_configuration_names_tenants_and_the_upstreams_key(
    provider: Upstream, tmp_path: Path
) -> None:
    """A YAML file with a `server` section; its secret comes from the environment."""
    provider.keys = {"upstream-key"}
    key, line = [
        one.rpartition(" ")[2]
        for one in subprocess.run(
            [*PROGRAM, "--new-key", "acme"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    ]
    file = tmp_path / "semcache.yaml"
    file.write_text(
        f"path: cache\nserver:\n  upstream: {provider.url}\n"
        f"  upstream_api_key: ${{THE_KEY}}\n  keys: {{acme: '{line.partition('=')[2]}'}}\n"
        "  timeout: 30 s\n  max_body: 1 MB\n  turns: {tool_calls: exact, react: off}\n",
        "utf-8",
    )
    with program("--config", str(file), env={"THE_KEY": "upstream-key"}) as (process, url):
        body = {"model": "gpt-4o", "messages": said(QUESTION)}
        chat = f"{url}/chat/completions"
        assert httpx.post(chat, json=body, timeout=60).status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        found = [httpx.post(chat, json=body, headers=headers, timeout=60) for _ in range(2)]
        assert [one.headers["x-semcache"] for one in found] == ["miss", "hit"]
        process.terminate()
        code, errors = ended(process)
    assert code == 0
    assert key not in errors
    assert "upstream-key" not in errors
    assert (tmp_path / "cache").is_dir()
    assert last_question(provider.asked[0]) == QUESTION


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.delitem(sys.modules, "semcache_core.server.app")
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingDependency, match=r"'starlette'.*llm-semcache\[server\]"):
        _ = semcache_core.server.create_app
    with pytest.raises(AttributeError):
        _ = semcache_core.server.creat_app


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "upstream: it is missing"),
        (("--upstream", "ftp://x"), "upstream: 'ftp://x' was given"),
        (("--upstream", "https://user:pass@x/v1"), "holds credentials"),
        (("--upstream", "http://x?key=1"), "holds a query"),
        (("--upstream", "http://x", "--timeout", "soon"), "timeout: 'soon' was given"),
        (("--upstream", "http://x", "--timeout", "0"), "timeout: 0"),
        (("--upstream", "http://x", "--max-body", "much"), "max_body: 'much' was given"),
        (("--upstream", "http://x", "--key", "acme"), "give TENANT=sha256:DIGEST"),
        (("--upstream", "http://x", "--key", "acme=sk-1"), "is not 'sha256:'"),
        (("--upstream", "http://x", "--key", "a/b=sha256:" + "0" * 64), "cannot name a tenant"),
        (("--upstream", "http://x", "--tool-calls", "semantic"), "turns.tool_calls"),
        (("--upstream", "http://x", "--port", "70000"), "server.port: 70000"),
        (("--upstream", "http://x", "--host", "256.0.0.1"), "cannot listen at 256.0.0.1"),
        (("--upstream", "http://x", "--threshold", "2"), "threshold"),
        (("--new-key", "a/b"), "cannot name a tenant"),
    ],
)
def test_a_start_that_cannot_work_is_told(
    refused: Callable[..., str], options: tuple[str, ...], words: str
) -> None:
    """In a sentence, with exit code 2, before anything is opened."""
    assert words in refused(*options)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"upstrem": "http://x"}, "did you mean 'upstream'?"),
        ({"upstream": "http://x", "open": "maybe"}, "give true or false"),
        ({"upstream": "http://x", "turns": "off"}, "give a mapping"),
        ({"upstream": "http://x", "turns": {"tool_call": "exact"}}, "did you mean 'tool_calls'?"),
        ({"upstream": "http://x", "ignored": "user"}, "a list of texts"),
        ({"upstream": "http://x", "upstream_api_key": "sk-1"}, "a secret is written out"),
        ({"upstream": "http://x", "keys": ["a"]}, "give tenant: digest"),
        ({"upstream": "http://x", "grace": True}, "server.grace"),
    ],
)
def test_a_section_that_cannot_work_is_told(
    refused: Callable[..., str], tmp_path: Path, section: dict[str, Any], words: str
) -> None:
    """The setting is named, and the nearest one that there is."""
    file = tmp_path / "semcache.json"
    file.write_text(json.dumps({"server": section}), "utf-8")
    assert words in refused("--config", str(file))


def test_a_port_in_use_is_told(refused: Callable[..., str], provider: Upstream) -> None:
    """With a usage error like any other."""
    port = provider.url.rpartition(":")[2].partition("/")[0]
    assert "cannot listen at" in refused("--upstream", "http://x", "--port", port)


def test_the_configuration_on_the_page_works(tmp_path: Path) -> None:
    """Every setting that it shows is one, and every setting there is is shown."""
    page = (Path(__file__).parents[3] / "docs" / "server.md").read_text("utf-8")
    [shown] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "semcache.yaml"
    file.write_text(shown, "utf-8")
    section = load(file, {}, {"OPENAI_API_KEY": "sk-1"}).config.server or {}
    settings, place = settings_from(section)
    assert (settings.timeout, settings.max_body, place.grace) == (120.0, 8 * 2**20, 60.0)
    known = {field.name for kind in (ServerSettings, Listening) for field in fields(kind)}
    assert known - {"open"} == set(section)
