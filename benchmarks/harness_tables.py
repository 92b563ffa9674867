"""A run as tables of Markdown, which are legible in a terminal too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

UNIT = {"open_s": "cold open, s", "first_s": "and first hit, s", "fill_s": "filling, s"}


def show(result: dict[str, Any]) -> None:
    """Print everything."""
    for line in lines(result):
        print(line)


def lines(result: dict[str, Any]) -> Iterator[str]:
    """All tables."""
    yield f"Machine: {result['machine']}\n"
    sizes = list(result["sizes"])
    groups = dict.fromkeys(group for size in sizes for group in result["sizes"][size])
    for group in groups:
        by_size = {size: result["sizes"][size].get(group, {}) for size in sizes}
        yield from _operations(group, by_size)
        yield from _crowds(by_size)
        yield from _room(by_size)
    yield from table("import", ["s"], [[k, f"{v:.3f}"] for k, v in result["imports"].items()])
    rows = [
        [bar["what"], f"{bar['value']:.3g}", _limit(bar), "yes" if bar["met"] else "NO"]
        for bar in result["bars"]
    ]
    yield from table("aim", ["measured", "limit", "met"], rows)


def table(first: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """One table, if it has rows."""
    if not rows:
        return
    yield "| " + " | ".join([first, *columns]) + " |"
    yield "|---" + "|--:" * len(columns) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def us(value: float) -> str:
    """Microseconds, legible."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _operations(group: str, by_size: dict[str, Any]) -> Iterator[str]:
    names = dict.fromkeys(name for found in by_size.values() for name in found)
    ops = dict.fromkeys(
        op
        for found in by_size.values()
        for one in found.values()
        for op in one.get("operations", ())
    )
    for op in ops:
        rows = [
            [name, *(_cell(found.get(name, {}), op) for found in by_size.values())]
            for name in names
            if any(op in found.get(name, {}).get("operations", ()) for found in by_size.values())
        ]
        columns = [f"{int(size):,}: p50 / p95 / p99 us" for size in by_size]
        yield from table(f"{group}: {op}", columns, rows)


def _cell(subject: dict[str, Any], op: str) -> str:
    found = subject.get("operations", {}).get(op)
    if found is None:
        return "-"
    said = " / ".join(us(found[cut]) for cut in ("p50", "p95", "p99"))
    short = found["right"] if op != "miss" else 1 - found["answered"]
    return said if short > 0.999 else f"{said} ({short:.0%} right)"


def _crowds(by_size: dict[str, Any]) -> Iterator[str]:
    rows = [
        [f"{int(size):,}", name, what, f"{one['per_s']:,.0f}"]
        + [us(one[cut]) for cut in ("p50", "p95", "p99")]
        + [str(one["errors"])]
        for size, found in by_size.items()
        for name, subject in found.items()
        for what, one in subject.get("crowds", {}).items()
    ]
    yield from table(
        "entries", ["subject", "what", "calls/s", "p50 us", "p95 us", "p99 us", "errors"], rows
    )


def _room(by_size: dict[str, Any]) -> Iterator[str]:
    rows = [
        [f"{int(size):,}", name, *(f"{one[key]:,.0f}" for key in ("memory_bytes", "disk_bytes"))]
        + [f"{one[key]:.2f}" if key in one else "-" for key in UNIT]
        for size, found in by_size.items()
        for name, one in found.items()
        if "memory_bytes" in one
    ]
    columns = ["subject", "memory, bytes an entry", "disk, bytes an entry", *UNIT.values()]
    yield from table("entries", columns, rows)


def _limit(bar: dict[str, Any]) -> str:
    return f"at most {bar['most']:g}" if bar["most"] is not None else f"at least {bar['least']:g}"
