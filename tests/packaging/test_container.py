"""Dockerfile and compose.yaml: what they copy is there, and what they set is understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from semcache_core.config import load
from semcache_core.server.reading import settings_from

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
GIVEN = {"POSTGRES_PASSWORD": "secret"}


def instructions(name: str) -> list[str]:
    """The Dockerfile's lines of one kind, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


def environment(given: dict[str, str]) -> dict[str, str]:
    """What the server's container sees: the image's variables, then compose's."""
    found = {}
    for line in instructions("ENV"):
        found.update(word.split("=", 1) for word in shlex.split(line))
    for name, value in COMPOSE["services"]["semcache"]["environment"].items():
        found[name] = re.sub(
            r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: given.get(m[1], m[2] or ""), str(value)
        )
    return found


def test_what_the_image_copies_is_there_and_sent() -> None:
    """Each source exists, and .dockerignore lets it through."""
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sources = [
        word
        for line in instructions("COPY")
        if not line.startswith("--from")
        for word in line.split()[:-1]
    ]
    assert {"core", "pyproject.toml", "constraints.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed


def test_the_image_serves_as_nobody_special() -> None:
    """Not as root, with the program of this distribution and a check of its health."""
    assert instructions("USER")[-1] == "semcache"
    assert instructions("ENTRYPOINT") == ['["semcache", "serve"]']
    assert "/health/ready" in instructions("HEALTHCHECK")[0]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"UPSTREAM_API_KEY": "sk-1", "KEYS": '{acme: "sha256:' + "0" * 64 + '"}'},
    ],
)
def test_compose_sets_what_the_server_understands(more: dict[str, str]) -> None:
    """With nothing but a password, and with keys of its own."""
    loaded = load(None, {}, environment(GIVEN | more))
    settings, place = settings_from(loaded.config.server or {})
    assert loaded.config.entries == "postgresql+psycopg://semcache:secret@postgres/semcache"
    assert loaded.config.url == "http://chroma:8000"
    assert settings.upstream == "https://api.openai.com/v1"
    assert (place.host, place.port) == ("0.0.0.0", 8000)
    assert bool(settings.keys) == bool(more)


def test_compose_is_whole() -> None:
    """What a service waits for, mounts and is reached at is in the file, and on this host only."""
    services = COMPOSE["services"]
    for service in services.values():
        assert "build" in service or "image" in service
        for name, waits in service.get("depends_on", {}).items():
            assert waits["condition"] != "service_healthy" or "healthcheck" in services[name]
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    grace = int(services["semcache"]["stop_grace_period"].removesuffix("s"))
    assert grace > 60  # longer than requests under way are waited for
