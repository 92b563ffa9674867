"""`semcache clear`."""

from __future__ import annotations

from typing import Annotated

import typer

from semcache_core.cli._options import AsJson, Namespace, Where
from semcache_core.cli._output import console, print_json
from semcache_core.cli._record import opened
from semcache_core.indexes.scan import ScanIndex
from semcache_core.store import Store


def clear(
    where: Where,
    namespace: Namespace = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    json: AsJson = False,
) -> None:
    """Delete all entries, or those of one namespace.

    Other processes that have the cache open follow within their polling time.
    """
    with opened(where) as record:
        if not yes:
            whose = (
                "all entries" if namespace is None else f"the entries of namespace {namespace!r}"
            )
            typer.confirm(f"Delete {whose} at {where}?", abort=True, err=True)
        identity = record.meta("embedder") or ""
        store = Store(record, ScanIndex(record.scope), identity=identity)
        deleted = store.clear(namespace)
        store.close()
    if json:
        print_json({"deleted": deleted})
    else:
        console.print(f"{deleted} entries deleted")
