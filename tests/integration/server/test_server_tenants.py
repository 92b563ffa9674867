"""Who may ask, and that nobody is ever served what another was answered."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chat_upstream import Upstream

from semcache_core.errors import ConfigError
from semcache_core.server import ServerSettings
from semcache_core.server.reading import new_key, settings_from

from .conftest import Serve, Served, said

QUESTION = "How do I reset my password?"
ACME, BANK = "sk-semcache-acme", "sk-semcache-bank"


def hashed(key: str) -> str:
    """As a configuration has it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def ask(served: Served, key: str, **more: Any) -> str:
    """What the server says of the question under this key."""
    raw = served.client(key).chat.completions.with_raw_response.create(
        model="gpt-4o", messages=said(QUESTION), **more
    )
    return str(raw.headers["x-semcache"])


@pytest.fixture
def keyed(serve: Serve, provider: Upstream) -> Served:
    """A server with two tenants and a key of its own upstream."""
    provider.keys = {"upstream-key"}
    keys = {"acme": [hashed(ACME), hashed("sk-second")], "bank": hashed(BANK)}
    return serve(keys=keys, upstream_api_key="upstream-key")


def test_two_keys_are_two_tenants(keyed: Served, provider: Upstream) -> None:
    """Neither is served the other's answer; a tenant's second key is the same tenant."""
    assert [ask(keyed, ACME), ask(keyed, BANK)] == ["miss", "miss"]
    assert [ask(keyed, ACME), ask(keyed, BANK), ask(keyed, "sk-second")] == ["hit"] * 3
    assert provider.calls == 2
    assert {one["authorization"] for one in provider.headers} == {"Bearer upstream-key"}


@pytest.mark.parametrize("key", ["wrong", "upstream-key", hashed(ACME), hashed(ACME)[7:], "é"])
def test_another_key_is_turned_away(keyed: Served, provider: Upstream, key: str) -> None:
    """Nothing is looked up and nothing is asked: not for a guess, a digest, the upstream's key."""
    ask(keyed, ACME)
    headers = {"authorization": f"Bearer {key}".encode()}
    body = {"model": "gpt-4o", "messages": said(QUESTION)}
    for path in ("/v1/chat/completions", "/get", "/search"):
        asked = {"prompt": QUESTION} if path != "/v1/chat/completions" else body
        response = httpx.post(keyed.address + path, json=asked, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(keyed.address + "/stats", headers=headers).status_code == 401
    assert provider.calls == 1


def test_no_key_is_turned_away(keyed: Served) -> None:
    """Where keys are asked for nobody is let in without."""
    response = httpx.post(keyed.url + "/chat/completions", json={})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    with pytest.raises(openai.AuthenticationError):
        keyed.client("wrong").models.list()


def test_two_keys_in_one_request_are_nobodys(keyed: Served) -> None:
    """Of two credentials nobody can say whose request it is."""
    both = {"authorization": f"Bearer {ACME}", "x-api-key": BANK}
    assert httpx.post(keyed.url + "/chat/completions", json={}, headers=both).status_code == 401


def test_what_shows_the_whole_account_is_not_passed_on(keyed: Served, provider: Upstream) -> None:
    """Tenants share the account upstream: no listing of what another left there."""
    headers = {"authorization": f"Bearer {ACME}"}
    for method, path in (("GET", "/files"), ("GET", "/chat/completions"), ("DELETE", "/files/1")):
        response = httpx.request(method, keyed.url + path, headers=headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "not_passed_on"
    assert httpx.get(keyed.url + "/models", headers=headers).status_code == 200
    assert provider.paths == ["/v1/models"]


def test_callers_own_keys_go_upstream_and_are_tenants(serve: Serve, provider: Upstream) -> None:
    """Each is asked for with its own key; a wrong one gets the upstream's own refusal."""
    provider.keys = {"ann", "bob"}
    served = serve()
    assert [ask(served, "ann"), ask(served, "bob"), ask(served, "ann")] == ["miss", "miss", "hit"]
    assert [one["authorization"] for one in provider.headers] == ["Bearer ann", "Bearer bob"]
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
        ask(served, "eve")
    assert ask(served, "bob") == "hit"


def test_tenants_who_ask_at_once_do_not_share_a_call(keyed: Served, provider: Upstream) -> None:
    """Neither whole nor streamed: each tenant's request goes upstream by itself."""
    provider.delay = 0.2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: ask(keyed, (ACME, BANK)[n % 2]), range(8)))
    assert found.count("miss") == 2
    assert provider.calls == 2
    body = {"model": "gpt-4o", "messages": said("What is the tallest tree?"), "stream": True}

    def stream(key: str) -> str:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{keyed.url}/chat/completions", json=body, headers=headers).text

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(stream, [ACME, BANK] * 4))
    assert len({"Answer" in text and text.endswith("[DONE]\n\n") for text in texts}) == 1
    assert provider.calls == 4


def test_namespaces_divide_a_tenant_and_never_reach_another(keyed: Served) -> None:
    """A namespace named like another tenant is still one's own."""
    named = {"extra_headers": {"X-Semcache-Namespace": "bank"}}
    assert [ask(keyed, BANK), ask(keyed, ACME, **named)] == ["miss", "miss"]
    assert [ask(keyed, ACME), ask(keyed, ACME, **named)] == ["miss", "hit"]


def test_search_shows_a_tenants_own_entries_only(keyed: Served) -> None:
    """Not even the question of another tenant is shown."""
    ask(keyed, ACME)
    found = {}
    for key in (ACME, BANK):
        response = httpx.post(
            keyed.address + "/search",
            json={"prompt": QUESTION},
            headers={"authorization": f"Bearer {key}"},
        )
        found[key] = response.json()["scopes"]
    assert found[ACME][0]["hit"]
    assert found[BANK] == []


def test_keys_are_neither_kept_nor_logged(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the record, not in any file beside it, not in a log line of any level."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "cache"
    served = serve({"path": path})
    secret, query = "sk-very-secret-0123456789", "AIza-in-the-query"
    ask(served, secret, extra_query={"key": query})
    served.cache.flush()
    for file in path.rglob("*"):
        held = file.read_bytes() if file.is_file() else b""
        assert secret.encode() not in held
        assert query.encode() not in held
        assert hashlib.sha256(secret.encode()).hexdigest().encode() not in held
    assert any("/v1/chat/completions" in one.getMessage() for one in caplog.records)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("semcache")]
    assert not any(secret in one or query in one for one in ours)


def test_a_namespace_that_fails_serves_and_stores_nothing(serve: Serve, provider: Upstream) -> None:
    """Who cannot be named shares with nobody; the call itself goes through."""

    def tenant() -> str:
        raise RuntimeError("no tenant")

    served = serve({"namespace": tenant})
    assert [ask(served, "ann"), ask(served, "ann")] == ["bypass", "bypass"]
    assert provider.calls == 2


def test_a_server_whose_key_anybody_could_spend_does_not_start() -> None:
    """It has to be said that it is meant."""
    with pytest.raises(ConfigError, match="anybody who reaches this server"):
        ServerSettings("http://localhost", upstream_api_key="sk-1")
    assert ServerSettings("http://localhost", upstream_api_key="sk-1", open=True).open


def test_an_open_server_is_one_tenant(serve: Serve, provider: Upstream) -> None:
    """Whatever they send as a key goes no further."""
    served = serve(upstream_api_key="upstream-key", open=True)
    assert [ask(served, "ann"), ask(served, "bob")] == ["miss", "hit"]
    assert provider.headers[0]["authorization"] == "Bearer upstream-key"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("LOCALHOST", 200), ("[::1]:80", 200), ("evil.example", 421)],
)
def test_a_server_answers_to_its_own_names(serve: Serve, host: str, status: int) -> None:
    """A page in a browser cannot reach it under a name that the page's owner gave its address."""
    served = serve(hosts=("localhost", "::1"))
    response = httpx.get(f"{served.address}/stats", headers={"host": host})
    assert response.status_code == status


def test_a_server_on_this_machine_without_keys_knows_its_names() -> None:
    """By default; one with keys, or at another address, is called whatever it is called."""
    given = {"upstream": "http://x"}
    assert "localhost" in settings_from(given)[0].hosts
    assert settings_from({**given, "hosts": "a"})[0].hosts == ("a",)
    assert settings_from({**given, "host": "0.0.0.0"})[0].hosts == ()
    assert settings_from({**given, "keys": {"acme": hashed(ACME)}})[0].hosts == ()


def test_a_new_key_is_let_in(serve: Serve) -> None:
    """What `--new-key` prints is a key and the digest by which it is known."""
    key, digest = new_key("acme")
    other, _ = new_key("acme")
    assert key != other
    served = serve(keys={"acme": digest})
    assert ask(served, key) == "miss"
    with pytest.raises(openai.AuthenticationError):
        ask(served, other)
