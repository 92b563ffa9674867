"""The commands, by name."""

from __future__ import annotations

import typer

from semcache_core.cli._clear import clear
from semcache_core.cli._demo import demo
from semcache_core.cli._entries import ls, show
from semcache_core.cli._explain import explain
from semcache_core.cli._serve import serve
from semcache_core.cli._stats import stats

app = typer.Typer(
    name="semcache",
    help="Semantic caching for language models: a demonstration, and a look inside caches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (demo, stats, ls, show, explain, clear, serve):
    app.command()(command)
