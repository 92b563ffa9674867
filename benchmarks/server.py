"""What `semcache serve` adds to a miss, what a hit through it takes, and how many it serves.

    python -m benchmarks.server [--requests 300] [--clients 32] [--json FILE]

The upstream is a process of its own that answers at once, the server another, and this one the
client, with one connection a client. The rows are measured by turns, so that a busy moment of the
machine falls on all of them. Latencies are medians, and the 95th and 99th percentile, of requests
one after another; the rate is that of `--clients` at once, and beside it stands the processor time
that the server itself spent on each of those requests, which a busy machine changes least.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ANSWER = " ".join(["An answer of some length, such as models give."] * 10)
MESSAGE = {"role": "assistant", "content": ANSWER}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120},
}
COLOURS = "red blue green white black brown grey pink purple orange yellow silver golden beige"
KINDS = "old new small big cheap dusty heavy round square wooden"
THINGS = "sofa chair table lamp carpet curtain jacket shoe boot bag belt pan oven fridge sink bath"
_NEXT = itertools.count()
CLEAN = [" ".join(words) for words in itertools.product(*map(str.split, (KINDS, COLOURS, THINGS)))]
_CLEAN = itertools.cycle(CLEAN)


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    """The provider: reads the request and answers at once."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(COMPLETION).encode()})


@dataclass
class Row:
    """One way to be answered; `ask` makes the next request's question and headers."""

    name: str
    url: str
    expected: str
    ask: Callable[[], tuple[str, dict[str, str]]]
    streamed: bool = False
    seconds: list[float] = field(default_factory=list)
    rate: float = 0.0
    cpu: float = 0.0

    def request(self) -> dict[str, Any]:
        """What httpx sends."""
        question, headers = self.ask()
        body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": question}]}
        if self.streamed:
            body["stream"] = True
        return {"url": f"{self.url}/chat/completions", "json": body, "headers": headers}

    def check(self, response: httpx.Response) -> None:
        """It is what the row says that it is."""
        said = response.headers.get("x-semcache-kind") or response.headers.get("x-semcache", "")
        if response.status_code != 200 or said != self.expected:
            raise SystemExit(f"{self.name}: {response.status_code}, {dict(response.headers)}")


def rows_for(direct: str, served: str) -> list[Row]:
    """The floor first; a semantic hit is embedded each time, since its wording is new."""
    skip = {"x-semcache-skip": "true"}
    return [
        Row("direct", direct, "", lambda: (_new(), {})),
        Row("passed on", served, "bypass", lambda: (_new(), skip)),
        Row("miss", served, "miss", lambda: (_new(), {})),
        Row("exact hit", served, "exact", lambda: ("How do I reset my password?", {})),
        Row("exact hit, streamed", served, "exact", lambda: ("Who am I?", {}), streamed=True),
        Row("semantic hit", served, "semantic", lambda: (_reworded(), {})),
    ]


def _new() -> str:
    return f"What is known about the town of number {next(_NEXT)}?"


def _reworded() -> str:
    """A wording that was not embedded before, of a question that is stored."""
    return f"How can I clean my {next(_CLEAN)}?"


def measure(rows: list[Row], requests: int) -> None:
    """One request after another, the rows by turns."""
    with httpx.Client(timeout=60) as client:
        for _ in range(requests):
            for row in rows:
                asked = row.request()
                began = time.perf_counter()
                response = client.post(**asked)
                row.seconds.append(time.perf_counter() - began)
                row.check(response)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process so far, where the system shows them (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(row: Row, clients: int, seconds: float, pid: int) -> None:
    """Note requests a second of so many clients at once, and what each cost the server."""
    end = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def one() -> int:
            done = 0
            while time.perf_counter() < end:
                row.check(await client.post(**row.request()))
                done += 1
            return done

        began, spent = time.perf_counter(), cpu_of(pid)
        done = sum(await asyncio.gather(*(one() for _ in range(clients))))
        row.rate = done / (time.perf_counter() - began)
        row.cpu = (cpu_of(pid) - spent) / done


@contextmanager
def process(*command: str, pattern: str) -> Iterator[tuple[str, int]]:
    """A program that says where it listens; its address and its number."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    running = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    )
    try:
        said = ""
        while not (found := re.search(pattern, said)):
            line = running.stdout.readline() if running.stdout else ""
            if not line:
                raise SystemExit(f"{command} ended: {said}")
            said += line
        # Its log is read on: a full pipe would stop it.
        threading.Thread(target=running.stdout.read, daemon=True).start()  # type: ignore[union-attr]  # a pipe
        yield f"{found[1]}/v1", running.pid
    finally:
        running.terminate()
        running.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=300, help="of each row, one by one")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load a row")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        listening = r"(http://127\.0\.0\.1:\d+)"
        how = ("-m", "uvicorn", "benchmarks.server:upstream", "--port", "0", "--no-access-log")
        direct, _ = stack.enter_context(process(*how, pattern=listening))
        serve = ("-c", "from semcache_core.cli import main; main()", "serve", "--port", "0")
        serve += ("--upstream", direct, "--path", folder)
        served, pid = stack.enter_context(process(*serve, pattern=listening))
        rows = rows_for(direct, served)
        _prepare(served)
        measure(rows, 20)  # not counted: first connections, first use of each part
        for row in rows:
            row.seconds.clear()
        measure(rows, given.requests)
        for row in rows:
            asyncio.run(load(row, given.clients, given.seconds, pid))
    _report(rows, given)


def _prepare(served: str) -> None:
    """Store what the hits will be; each asked anew, since these questions are near one another."""
    fresh = {"x-semcache-refresh": "true"}
    questions = ["How do I reset my password?", "Who am I?"]
    questions += [f"How do I clean my {one}?" for one in CLEAN]
    with httpx.Client(timeout=60) as client:
        for question in questions:
            body = {"model": "m", "messages": [{"role": "user", "content": question}]}
            client.post(f"{served}/chat/completions", json=body, headers=fresh)


def _report(rows: list[Row], given: argparse.Namespace) -> None:
    print(f"{given.requests} requests a row, one by one; {given.clients} clients at once")
    head = ("median", "p95", "p99", "added", "server CPU", "requests/s")
    print(f"{'ms':22}" + "".join(f"{name:>12}" for name in head))
    told: list[dict[str, Any]] = []
    for row in rows:
        kept = sorted(row.seconds)
        median, p95, p99 = (1000 * kept[round(q * (len(kept) - 1))] for q in (0.5, 0.95, 0.99))
        added = median - told[0]["median_ms"] if told else 0.0
        shown = (median, p95, p99, added, 1000 * row.cpu)
        names = ("median_ms", "p95_ms", "p99_ms", "added_ms", "cpu_ms")
        told.append({"row": row.name, **dict(zip(names, shown, strict=True)), "rate": row.rate})
        print(f"{row.name:22}" + "".join(f"{one:12.2f}" for one in shown) + f"{row.rate:12.0f}")
    if given.json:
        given.json.write_text(json.dumps(told, indent=2), "utf-8")


if __name__ == "__main__":
    main()
