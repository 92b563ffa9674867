"""Values as JSON, tables and words for a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

PIPED = 120  # columns where there is no terminal to ask
console = Console(width=None if sys.stdout.isatty() else PIPED)
aside = Console(stderr=True, soft_wrap=True)
"""For what is not the result: it must not get into a file or a pipe."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


GO_ON = "do it again to go on"


@contextmanager
def progress(
    what: str, total: int | None, again: str = "do it again"
) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, told how much is done; none where nobody looks on.

    Ctrl-C inside ends the command, and says how far it came and what to do (`again`).
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    options: dict[str, Any] = {"console": aside, "transient": True}
    options["disable"] = not aside.is_terminal
    with Progress(*columns, TimeRemainingColumn(), **options) as bar:
        task = bar.add_task(what, total=total)
        try:
            yield lambda done: bar.update(task, completed=done)
        except KeyboardInterrupt:
            bar.stop()
            done = f"{bar.tasks[task].completed:.0f}{'' if total is None else f' of {total}'}"
            aside.print(f"stopped after {done}; {again}")
            raise typer.Exit(130) from None


def short(text: str, most: int = 200) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """Cells are text and never markup: people's questions may hold brackets."""
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2))
    for name, value in pairs:
        made.add_row(Text(name, "bold"), Text(value))
    return made


def span(seconds: float) -> str:
    """A time span in its largest whole unit: 90 is '1 min'."""
    size, unit = next((one for one in _UNITS if abs(seconds) >= one[0]), (1, "s"))
    return f"{int(seconds / size)} {unit}"


def ago(moment: float) -> str:
    """How long ago a time in seconds since the epoch was."""
    return f"{span(max(0.0, time.time() - moment))} ago"


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
