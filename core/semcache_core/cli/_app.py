"""The commands, by name."""

from __future__ import annotations

import typer

from semcache_core.cli._clear import clear
from semcache_core.cli._config import app as config
from semcache_core.cli._demo import demo
from semcache_core.cli._doctor import doctor
from semcache_core.cli._entries import ls, show
from semcache_core.cli._evict import evict
from semcache_core.cli._exchange import copy, export, import_
from semcache_core.cli._explain import explain, search
from semcache_core.cli._measure import calibrate, evaluate, train
from semcache_core.cli._serve import serve
from semcache_core.cli._stats import stats
from semcache_core.cli._warm import warm

_PANELS = {
    "Look inside": (stats, ls, show, search, explain),
    "Fill, move, delete": (warm, import_, export, copy, evict, clear),
    "Measure": (evaluate, calibrate, train),
    "Run": (demo, serve, doctor),
}

app = typer.Typer(
    name="semcache",
    help="Semantic caching for language models: look inside caches, fill, move and measure them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(command.__name__.strip("_"), rich_help_panel=panel)(command)
app.add_typer(config, rich_help_panel="Run")
