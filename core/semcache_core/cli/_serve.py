"""`semcache serve`: a caching proxy for any client of OpenAI's protocol."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer

from semcache_core.cli._options import AsJson
from semcache_core.cli._output import console, print_json
from semcache_core.errors import ConfigError, MissingDependency

_KEEP_ALIVE = 30  # seconds; clients let go of an idle connection earlier


def serve(
    upstream: Annotated[
        str | None, typer.Option(help="What is cached: https://api.openai.com/v1, say.")
    ] = None,
    *,
    path: Annotated[str | None, typer.Option(help="The cache's folder; else in memory.")] = None,
    config: Annotated[str | None, typer.Option(help="A configuration (docs/server.md).")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.")] = None,
    threshold: Annotated[float | None, typer.Option(help="How sure a hit must be.")] = None,
    max_false_hit_rate: Annotated[
        float | None, typer.Option(help="The share of hits that may be false, instead.")
    ] = None,
    ttl: Annotated[str | None, typer.Option(help="How long answers are served: 12h, 7d.")] = None,
    timeout: Annotated[
        str | None, typer.Option(help="How long the upstream may be silent: 600 s.")
    ] = None,
    max_body: Annotated[str | None, typer.Option(help="Largest request: 32 MiB.")] = None,
    tool_calls: Annotated[
        str | None, typer.Option(help="'exact': answers that call tools are kept too.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="TENANT=sha256:DIGEST of a key that is let in.")
    ] = None,
    open_: Annotated[
        bool | None, typer.Option("--open", help="Let anybody use the upstream's key.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option(metavar="TENANT", help="Make a key and its digest, and end.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Serve OpenAI's protocol, answered from a cache where it can be.

    The upstream's own key comes from the environment: SEMCACHE_SERVER__UPSTREAM_API_KEY. Without
    one, callers' keys are passed on, and each key is a tenant.
    """
    if new_key is not None:
        _show_new_key(new_key, json=json)
        return
    section: dict[str, Any] = {"upstream": upstream, "host": host, "port": port, "timeout": timeout}
    section |= {"max_body": max_body, "open": open_, "keys": _keys(key)}
    section |= {"turns": {"tool_calls": tool_calls} if tool_calls else None}
    overrides: dict[str, Any] = {"path": path, "threshold": threshold, "ttl": ttl}
    overrides |= {"max_false_hit_rate": max_false_hit_rate}
    _run(config, _given(section), _given(overrides), json=json)


def _run(
    config: str | None, section: dict[str, Any], overrides: dict[str, Any], *, json: bool
) -> None:
    from semcache_core.cache import SemanticCache
    from semcache_core.config import load
    from semcache_core.server import create_app
    from semcache_core.server.reading import settings_from

    loaded = load(config, overrides)
    settings, place = settings_from(_merged(loaded.config.server or {}, section))
    with _bound(place.host, place.port) as sock, loaded.make(SemanticCache) as cache:
        cache.explain("Is the embedder ready?")  # now, and not while the first caller waits
        kept = bool(loaded.config.path or loaded.config.entries)
        told = {"url": _url(place.host, sock.getsockname()[1]), "upstream": settings.upstream}
        _announce(told | {"kept": kept}, json=json)
        _listen(create_app(cache, settings), sock, place.grace)


def _listen(app: Any, sock: socket.socket, grace: float) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependency("the server", "uvicorn", "server") from error
    _log_to_stderr()
    how = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # uvicorn's shows queries, and some providers take keys there
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(grace)),
    )
    # uvicorn repeats a signal when it is done; the cache is closed on the way out.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    uvicorn.Server(how).run(sockets=[sock])


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen at {host} port {port}: {error}") from error


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _announce(told: Mapping[str, Any], *, json: bool) -> None:
    if json:
        print_json(told)
    else:
        console.print(f"semcache: {told['url']} in front of {told['upstream']}", markup=False)
        if not told["kept"]:
            console.print("The cache is in memory and ends with the server; --path keeps it.")
    sys.stdout.flush()


def _log_to_stderr() -> None:
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    for name in ("httpx", "httpcore"):  # they log URLs with their queries
        logging.getLogger(name).setLevel(logging.WARNING)


def _show_new_key(tenant: str, *, json: bool) -> None:
    from semcache_core.server.reading import new_key

    key, digest = new_key(tenant)
    if json:
        print_json({"tenant": tenant, "key": key, "digest": digest})
        return
    console.print(f"key, for {tenant} only: {key}", markup=False, soft_wrap=True)
    console.print(f"for the server: --key {tenant}={digest}", markup=False, soft_wrap=True)


def _keys(given: list[str] | None) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for one in given or ():
        tenant, equals, digest = one.partition("=")
        if not equals:
            raise ConfigError("--key: give TENANT=sha256:DIGEST; --new-key TENANT makes one")
        found.setdefault(tenant, []).append(digest)
    return found or None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _merged(section: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The command line goes before the file; of `turns`, one by one."""
    merged = {**section, **given}
    if isinstance(section.get("turns"), Mapping) and "turns" in given:
        merged["turns"] = {**section["turns"], **given["turns"]}
    return merged
