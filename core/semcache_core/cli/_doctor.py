"""`semcache doctor`: what is wrong with a cache, and what can be mended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from semcache_core.cli._options import AsJson, Embedder, Where
from semcache_core.cli._output import console, print_json, progress, table
from semcache_core.cli._record import existing, is_url, place_of
from semcache_core.diagnosis import Finding, diagnosed

_STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red", "mended": "green"}


def doctor(
    where: Where,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    embedder: Embedder = None,
    json: AsJson = False,
) -> None:
    """Check a cache: its file, every entry, its index, whose vectors they are, locks, the disk.

    Nothing is changed without --repair, which sets a damaged database aside and saves what can be
    read, deletes entries that nothing can read, and removes an index that is of no use: it is made
    anew from the entries. The exit code is 1 if something is left that is not as it should be.
    """
    place = place_of(where)
    if is_url(place):
        existing(place)
    with progress("looking", None) as tell:
        found = diagnosed(place, url=is_url(place), embedder=embedder, repair=repair, tell=tell)
    if json:
        print_json({"healthy": _healthy(found), "findings": [asdict(one) for one in found]})
    else:
        console.print(_shown(found))
    if not _healthy(found):
        raise typer.Exit(1)


def _healthy(found: list[Finding]) -> bool:
    return not any(one.level in ("warning", "error") for one in found)


def _shown(found: list[Finding]) -> object:
    made = table(("", "check", "found"), [])
    for one in found:
        made.add_row(Text(one.level, _STYLES[one.level]), Text(one.check), Text(one.said))
    return made
