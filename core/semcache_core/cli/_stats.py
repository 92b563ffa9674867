"""`semcache stats`: what a cache holds and what it has saved, from its record."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from semcache_core.cli._options import AsJson, Namespace, Where
from semcache_core.cli._output import ago, console, facts, print_json, size
from semcache_core.cli._record import opened
from semcache_core.protocols import EntryStore


def stats(where: Where, namespace: Namespace = None, json: AsJson = False) -> None:
    """Show what a cache holds and what it has saved.

    Counts of lookups belong to running processes (`cache.stats()`); what is on disk are entries
    and how often each was served.
    """
    with opened(where) as record:
        counted = _counted(record, namespace)
    if json:
        print_json(counted)
    else:
        console.print(facts(_lines(counted)))


def _counted(record: EntryStore, namespace: str | None) -> dict[str, Any]:
    now = time.time()
    sums: Counter[str] = Counter()
    namespaces: Counter[str] = Counter()
    models: Counter[str] = Counter()
    created: list[float] = []
    for entry in record.entries(namespace):
        sums["entries"] += 1
        sums["by_meaning"] += entry.vector is not None
        sums["expired"] += entry.expired(now)
        sums["bytes"] += entry.size
        sums["served"] += entry.uses
        sums["tokens_saved"] += entry.uses * entry.tokens
        namespaces[entry.namespace] += 1
        models[entry.model] += 1
        created = [min([entry.created, *created]), max([entry.created, *created])]
    names = ("entries", "by_meaning", "expired", "bytes", "served", "tokens_saved")
    return {name: sums[name] for name in names} | {
        "namespaces": dict(namespaces.most_common()),
        "models": dict(models.most_common()),
        "oldest": created[0] if created else None,
        "newest": created[-1] if created else None,
        "embedder": record.meta("embedder") or None,
    }


def _lines(counted: dict[str, Any]) -> list[tuple[str, str]]:
    oldest, newest = counted["oldest"], counted["newest"]
    return [
        ("entries", f"{counted['entries']} ({counted['expired']} expired)"),
        ("found by meaning", str(counted["by_meaning"])),
        ("size", size(counted["bytes"])),
        ("served", f"{counted['served']} times"),
        ("tokens saved", str(counted["tokens_saved"])),
        ("namespaces", _counts(counted["namespaces"])),
        ("models", _counts(counted["models"])),
        ("stored", f"{ago(oldest)} to {ago(newest)}" if oldest is not None else "-"),
        ("embedder", counted["embedder"] or "-"),
    ]


def _counts(counts: dict[str, int], most: int = 5) -> str:
    shown = [f"{name or '(unnamed)'}: {count}" for name, count in list(counts.items())[:most]]
    left = len(counts) - len(shown)
    return ", ".join(shown) + (f", and {left} more" if left else "") if shown else "-"
