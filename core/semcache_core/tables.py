"""A table of names and values, in a terminal and in a notebook. Texts are escaped in both."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Row = tuple[str, str]


def rich_table(title: str, rows: Iterable[Row]) -> Table:
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", show_header=False)
    for name, value in rows:
        made.add_row(Text(name, "bold"), Text(value))
    return made


def html_table(title: str, rows: Iterable[Row]) -> str:
    """The same as an HTML table."""
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{lines}</table>"
