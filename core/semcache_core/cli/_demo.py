"""`semcache demo`: real questions through a real chain, on a cache that stays on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from semcache_core.cli._options import AsJson
from semcache_core.cli._output import console, facts, print_json
from semcache_core.demos import Asked, Demo, Totals, demo_named


def demo(
    path: Annotated[
        Path, typer.Option(help="Where the cache is kept, and found by the next run.")
    ] = Path("semcache-demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier runs first.")] = False,
    json: AsJson = False,
) -> None:
    """Ask a chatbot real questions, their rephrasings and near misses.

    The model is a stand-in that answers as slowly as a hosted one, or OpenAI's if OPENAI_API_KEY
    is set and langchain-openai is installed.
    """
    make = demo_named("langchain")
    if not json:
        console.print("Loading the embedding model ...", style="dim")
    with make(path, fresh) as running:
        found, title = running.found, running.title
        rows = list(running if json else _shown(running, path))
    totals = Totals.of(rows)
    if json:
        told = [asdict(row) for row in rows]
        print_json({"title": title, "found": found, "rows": told, "totals": asdict(totals)})
    else:
        _sum_up(totals, path, found)


def _shown(running: Demo, path: Path) -> Iterator[Asked]:
    """Each row is printed as it comes: a table would appear only when the last one is there."""
    console.print(f"{running.title}; {running.found} answers found at {path}", markup=False)
    _line("question", "", "why", "cosine", "time", style="bold")
    to = ""
    for row in running:
        if row.to != to:
            to = row.to
            console.rule(f"assistant: {to}", align="left", style="dim")
        verdict, style = _verdict(row)
        cosine = "" if row.similarity is None else f"{row.similarity:.3f}"
        _line(row.question, verdict, _why(row), cosine, _time(row.seconds), style=style)
        yield row


def _line(*cells: str, style: str) -> None:
    question, verdict, why, cosine, seconds = cells
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(ratio=5, overflow="fold")
    line.add_column(width=9)
    line.add_column(ratio=6, overflow="fold")
    line.add_column(width=6, justify="right")
    line.add_column(width=7, justify="right")
    line.add_row(Text(question), Text(verdict, style), Text(why, "dim"), cosine, seconds)
    console.print(line)


def _verdict(row: Asked) -> tuple[str, str]:
    if row.hit:
        return ("hit", "green") if row.right else ("FALSE HIT", "bold red")
    return ("missed", "yellow") if row.expected else ("miss", "cyan")


def _why(row: Asked) -> str:
    if row.hit:
        same = row.matched == row.question
        return "the same prompt" if same else f"like: {row.matched}"
    parts = [f"{row.reason}: {row.detail}" if row.detail else row.reason]
    if row.note:
        parts.append(f"near miss ({row.note})")
    return "; ".join(parts)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _sum_up(totals: Totals, path: Path, found: int) -> None:
    asked = totals.questions
    console.rule(style="dim")
    console.print(
        facts(
            [
                ("questions", f"{asked}, of which {totals.hits} were answered from the cache"),
                ("hits", f"{totals.hits - totals.false_hits} right, {totals.false_hits} false"),
                ("misses", f"{asked - totals.hits}, of which {totals.missed} could have hit"),
                ("near misses", f"{totals.near_misses} rightly left to the model"),
                ("time", f"{totals.seconds:.1f} s spent, {totals.seconds_saved:.1f} s saved"),
                ("tokens", f"{totals.tokens_spent} spent, {totals.tokens_saved} saved"),
            ]
        )
    )
    again = "Run it once more: the answers are on disk. " if not found else ""
    console.print(
        f"{again}Look inside: semcache ls {path}; semcache explain {path} 'your question'",
        style="dim",
        markup=False,
    )
