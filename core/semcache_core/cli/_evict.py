"""`semcache evict`: delete what is too old, too much, or named."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from semcache_core.cli._options import AsJson, Namespace, Where, Yes
from semcache_core.cli._output import console, print_json
from semcache_core.cli._record import named, opened, written
from semcache_core.errors import ConfigError
from semcache_core.expiry import RULES, check_rule
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore
from semcache_core.units import in_bytes, in_seconds


def evict(
    where: Where,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or how they begin.")
    ] = None,
    *,
    expired: Annotated[bool, typer.Option("--expired", help="What has expired.")] = False,
    older_than: Annotated[str | None, typer.Option(help="Stored before: 30d, 12h.")] = None,
    unused_for: Annotated[str | None, typer.Option(help="Last used (or stored) before.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model.")] = None,
    namespace: Namespace = None,
    max_entries: Annotated[int | None, typer.Option(min=0, help="Leave so many.")] = None,
    max_bytes: Annotated[str | None, typer.Option(help="Leave so much: 500MB.")] = None,
    rule: Annotated[str, typer.Option(help=f"Who goes first: {', '.join(RULES)}.")] = "lru",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Delete entries: by id, by age, by model, or until the rest is small enough.

    Several conditions are to be met together. Other processes that have the cache open follow
    within their polling time.
    """
    check_rule(rule)
    told = {"older_than": older_than, "unused_for": unused_for, "model": model}
    picking = bool(ids or expired or any(value is not None for value in told.values()))
    sizes = max_entries, _bytes(max_bytes)
    if not picking and sizes == (None, None):
        raise ConfigError("say what is to go: ids, --expired, --older-than, --max-entries, ...")
    if picking and sizes != (None, None):
        raise ConfigError("--max-entries and --max-bytes go alone: they leave what they say")
    if namespace is not None and not picking:
        raise ConfigError("--max-entries and --max-bytes are of the whole cache, not of a tenant")
    with opened(where) as record:
        now = time.time()
        if picking:
            keys = _picked(record, namespace, ids or [], told, expired=expired, now=now)
        else:
            keys = _doomed(record, rule, sizes, now)
        gone = 0 if dry_run else _deleted(record, keys, where, yes=yes)
    if json:
        print_json({"deleted": gone, "ids": keys, "dry_run": dry_run})
    else:
        console.print(f"{len(keys)} entries would go" if dry_run else f"{gone} entries deleted")


def _bytes(text: str | None) -> int | None:
    value = in_bytes("--max-bytes", text) if text is not None else None
    return value if isinstance(value, int) else None


def _picked(
    record: EntryStore,
    namespace: str | None,
    ids: list[str],
    told: dict[str, str | None],
    *,
    expired: bool,
    now: float,
) -> list[str]:
    wanted = {named(record, one).key for one in ids}
    older, unused = (_before(name, told[name], now) for name in ("older_than", "unused_for"))

    def goes(entry: Entry) -> bool:
        return (
            (not ids or entry.key in wanted)
            and (not expired or entry.expired(now))
            and (older is None or entry.created < older)
            and (unused is None or max(entry.last_used, entry.created) < unused)
            and told["model"] in (None, entry.model)
        )

    return [entry.key for entry in record.entries(namespace) if goes(entry)]


def _before(name: str, text: str | None, now: float) -> float | None:
    if text is None:
        return None
    seconds: Any = in_seconds("--" + name.replace("_", "-"), text)
    return now - float(seconds)


def _doomed(
    record: EntryStore, rule: str, sizes: tuple[int | None, int | None], now: float
) -> list[str]:
    figures = record.figures()
    entries, size = sizes
    over = 0 if entries is None else max(0, figures.count - entries)
    over_size = 0 if size is None else max(0, figures.size - size)
    return record.doomed(rule, over, over_size, now) if over or over_size else []


def _deleted(record: EntryStore, keys: list[str], where: str, *, yes: bool) -> int:
    if keys and not yes:
        typer.confirm(f"Delete {len(keys)} entries at {where}?", abort=True, err=True)
    gone: int = written(record, lambda store: len(store.delete(keys)))
    return gone
