"""Every figure of docs/benchmarks.md in one run: ours, the peers', and the floors, by turns.

    make bench                 1,000 and 10,000 entries; under ten minutes
    make bench FULL=1          100,000 as well; about an hour

    python -m benchmarks.harness [--sizes 1000 10000] [--groups imports,core,whole,frameworks]
        [--subjects NAME...] [--rounds 30] [--json FILE]
    python -m benchmarks.harness --show FILE...

Each subject (benchmarks/subjects/) runs in a process of its own, peers in environments of their
own under .bench/, and is driven by turns: in each round every subject times a few calls of each
operation, in an order drawn anew, so that a busy moment slows all alike. All get the same
questions and the same MiniLM vectors, which are looked up: the embedding is in none of the times
but those of the group "whole".
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.harness_bars import bars
from benchmarks.harness_corpus import corpus
from benchmarks.harness_envs import OWN, ROOT, python
from benchmarks.harness_subjects import GROUPS, Failed, Running, Spec, started
from benchmarks.harness_tables import show

CALLS = 20
"""Calls of one operation in a turn."""
TURN = 0.05
"""Seconds after which a turn ends all the same."""
PAUSE = 0.005
"""Seconds between turns, longer than idle threads spin."""
CROWDS = (8, 32)
CROWD_SECONDS = 1.0
CROWD_REPEATS = 2
IMPORTS = (
    ("langchain_core.caches", OWN, "import langchain_core.caches"),
    ("langchain_semcache", OWN, "import langchain_semcache"),
    ("langchain_core's BaseChatModel", OWN, "from langchain_core.language_models import *"),
    ("langchain_semcache's class", OWN, "from langchain_semcache import SemanticCache"),
    ("llama_index.core", OWN, "import llama_index.core"),
    ("llamaindex_semcache", OWN, "import llamaindex_semcache"),
    ("semcache_core's class", OWN, "from semcache_core import SemanticCache"),
    ("gptcache", "gptcache", "import gptcache"),
    ("sulci", "sulci", "import sulci"),
    ("chromadb", "chroma", "import chromadb"),
)

Figures = dict[str, Any]


def spread(us: list[float]) -> dict[str, float]:
    """Percentiles in microseconds."""
    cuts = statistics.quantiles(us, n=100) if len(us) > 1 else us * 99
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
    return {name: round(cut, 2) for name, cut in named.items()} | {"calls": len(us)}


def measured(
    specs: list[Spec], counts: list[int], home: Path, questions: Path, rounds: int
) -> dict[int, Figures]:
    """All of a group, at all sizes, filled one after the other and asked by turns.

    At all sizes at once, so that what grows with the size is not what a busy moment cost.
    """
    found: dict[int, Figures] = {count: {} for count in counts}
    with contextlib.ExitStack() as stack:
        running = []
        for count in counts:
            for spec in specs:
                one = started(spec, home, count) if count <= spec.most else None
                if one is not None:
                    stack.enter_context(one)
                    if _filled(one, questions, found[count]):
                        running.append(one)
        _times(running, found, rounds)
        _crowds(running, found)
        for one in running:
            with contextlib.suppress(Failed):
                found[one.count][one.spec.name] |= one.ask("reopen")
    return found


def _filled(one: Running, questions: Path, found: Figures) -> bool:
    """Fill a subject; whether it can be asked."""
    name = one.spec.name
    try:
        found[name] = one.open(questions)
    except Failed as error:
        found[name] = {"error": str(error)}
        _say(f"{one.count:,}: {name} failed: {error}")
        return False
    _say(f"{one.count:,}: {name} filled in {found[name]['fill_s']:.1f} s")
    return True


def _times(running: list[Running], found: dict[int, Figures], rounds: int) -> None:
    taken: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    shuffled = random.Random(0)
    for number in range(rounds):
        turns = [(one, op) for one in running for op in found[one.count][one.spec.name]["ops"]]
        for one, op in shuffled.sample(turns, len(turns)):
            time.sleep(PAUSE)
            said = one.ask("time", op=op, times=CALLS, seconds=TURN, seed=number)
            taken.setdefault((one.count, one.spec.name, op), []).append(said)
    for (count, name, op), turns in taken.items():
        us = [one for turn in turns[1:] or turns for one in turn["us"]]  # the first turn warms up
        calls = sum(len(turn["us"]) for turn in turns)
        figures = spread(us) | {
            "answered": sum(turn["answered"] for turn in turns) / calls,
            "right": sum(turn["right"] for turn in turns) / calls,
        }
        found[count][name].setdefault("operations", {})[op] = figures


def _crowds(running: list[Running], found: dict[int, Figures]) -> None:
    """Semantic hits from many threads at once, repeated by turns."""
    turns = [
        (one, op, callers)
        for one in running
        if one.spec.crowd
        for op in ("semantic", "exact")[: 1 + (one.spec.env == OWN)]
        if op in found[one.count][one.spec.name]["ops"]
        for callers in CROWDS
    ]
    taken: dict[tuple[int, str, str, int], list[dict[str, Any]]] = {}
    for _ in range(CROWD_REPEATS):
        for one, op, callers in turns:
            time.sleep(PAUSE)
            said = one.ask("crowd", op=op, callers=callers, seconds=CROWD_SECONDS)
            taken.setdefault((one.count, one.spec.name, op, callers), []).append(said)
    for (count, name, op, callers), repeats in taken.items():
        found[count][name].setdefault("crowds", {})[f"{op}, {callers} threads"] = {
            "per_s": statistics.median(one["per_s"] for one in repeats),
            "errors": sum(one["errors"] for one in repeats),
            **spread([us for one in repeats for us in one["us"]]),
        }


def imports(home: Path, repeats: int = 7) -> dict[str, float]:
    """Seconds of a fresh interpreter with one import, beyond one without."""
    nothing = [("", OWN, "pass")]
    wanted = [(name, python(home, env), code) for name, env, code in (*nothing, *IMPORTS)]
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, interpreter, code in wanted:
                if interpreter is not None:
                    begun = time.perf_counter()
                    subprocess.run([str(interpreter), "-c", code], check=True, cwd=folder)
                    seconds.setdefault(name, []).append(time.perf_counter() - begun)
    bare = statistics.median(seconds.pop(""))
    return {name: round(statistics.median(taken) - bare, 3) for name, taken in seconds.items()}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load before": load,
    }


def _joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs of different sizes as one; bars are drawn anew, so some compare figures of two runs."""
    whole = runs[0] | {"sizes": {}}
    for run in runs:
        whole["imports"] |= run["imports"]
        for size, groups in run["sizes"].items():
            for group, found in groups.items():
                whole["sizes"].setdefault(size, {}).setdefault(group, {}).update(found)
    return whole | {"bars": bars(whole)}


def _wanted(spec: Spec, parts: list[str] | None) -> bool:
    return parts is None or any(part in spec.name for part in parts)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--groups", default=",".join(["imports", *GROUPS]))
    parser.add_argument("--subjects", nargs="+", help="parts of names; default: all")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--home", type=lambda name: Path(name).resolve(), default=ROOT / ".bench")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--show", type=Path, nargs="+", help="print the tables of earlier runs")
    options = parser.parse_args()
    if options.show:
        show(_joined([json.loads(file.read_text()) for file in options.show]))
        return
    sizes: list[int] = options.sizes
    groups = options.groups.split(",")
    timed = imports(options.home) if "imports" in groups else {}
    result: dict[str, Any] = {"machine": machine(), "imports": timed, "sizes": {}}
    questions = corpus(options.home, max(sizes))
    for group in (name for name in GROUPS if name in groups):
        specs = [spec for spec in GROUPS[group] if _wanted(spec, options.subjects)]
        found = measured(specs, sizes, options.home, questions, options.rounds)
        for count, figures in found.items():
            result["sizes"].setdefault(str(count), {})[group] = figures
        result["bars"] = bars(result)
        if options.json:  # after each, should the run be stopped
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    show(result)


if __name__ == "__main__":
    main()
