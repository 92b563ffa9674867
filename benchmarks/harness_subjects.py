"""Which subjects there are, and the processes that they run in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from benchmarks.harness_envs import OWN, python

FOLDER = Path(__file__).parent / "subjects"


@dataclass(frozen=True)
class Spec:
    """One subject: a file of benchmarks/subjects, its arguments, its environment."""

    name: str
    file: str
    args: tuple[str, ...] = ()
    env: str = OWN
    most: int = 10**9
    """Entries beyond which it would take minutes to fill or to ask."""
    crowd: bool = False
    """Whether threads are timed as well."""


CACHES = (
    Spec("semcache, memory", "own_core", ("memory",), crowd=True),
    Spec("semcache, disk", "own_core", ("disk",), crowd=True),
    Spec("GPTCache sqlite+faiss", "peer_gptcache", ("faiss",), "gptcache", crowd=True),
    Spec("GPTCache map", "peer_gptcache", ("map",), "gptcache", most=10_000),
    Spec("Chroma with a filter", "peer_chroma", ("filtered",), "chroma", crowd=True),
    Spec("Chroma, no filter", "peer_chroma", ("plain",), "chroma", crowd=True),
    Spec("Sulci sqlite", "peer_sulci", (), "sulci", most=1_000),
)
FLOORS = (
    Spec("floor: dict", "floor_exact", ("dict",)),
    Spec("floor: sqlite3", "floor_exact", ("sqlite3",)),
    Spec("floor: numpy", "floor_search", ("numpy",)),
    Spec("floor: hnswlib", "floor_search", ("hnswlib",), "hnswlib"),
)
WHOLE = (
    Spec("semcache with embedding", "own_whole", ("cache",), crowd=True),
    Spec("floor: semcache's embedder", "own_whole", ("embedder",)),
    Spec("floor: SentenceTransformer.encode", "own_whole", ("encode",)),
)
FRAMEWORKS = (
    Spec("LangChain, semcache", "own_langchain", ("memory", "cache"), most=10_000),
    Spec("LangChain, semcache on disk", "own_langchain", ("disk", "cache"), most=10_000),
    Spec("LangChain, cached(model)", "own_langchain", ("memory", "twin"), most=10_000),
    Spec("LangChain, InMemoryCache", "peer_langchain", ("memory",), "langchain", most=10_000),
    Spec("LangChain, SQLiteCache", "peer_langchain", ("sqlite",), "langchain", most=10_000),
    Spec("LangChain, no cache", "peer_langchain", ("none",), "langchain", most=10_000),
    Spec("LlamaIndex, semcache", "own_llamaindex", ("memory",), most=10_000),
    Spec("LlamaIndex, semcache on disk", "own_llamaindex", ("disk",), most=10_000),
    Spec("LlamaIndex, no cache", "own_llamaindex", ("none",), most=10_000),
)
# What a framework adds does not depend on the size, and filling through it takes minutes.
GROUPS = {"core": (*CACHES, *FLOORS), "whole": WHOLE, "frameworks": FRAMEWORKS}


class Failed(Exception):
    """What a subject said went wrong."""


class Running:
    """A subject's process; use as a context manager."""

    def __init__(self, spec: Spec, interpreter: Path, count: int) -> None:
        self.spec = spec
        self.count = count
        self._place = tempfile.TemporaryDirectory(prefix="bench-")
        self._process = subprocess.Popen(
            [str(interpreter), str(FOLDER / f"{spec.file}.py"), *spec.args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
            text=True,
        )

    def ask(self, do: str, **how: Any) -> dict[str, Any]:
        """One line there and one back. Raises `Failed`."""
        there, back = _pipes(self._process)
        print(json.dumps({"do": do, **how}), file=there, flush=True)
        line = back.readline()
        if not line:
            raise Failed(f"its process ended with {self._process.wait()}")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise Failed(said["error"])
        return said

    def open(self, corpus: Path) -> dict[str, Any]:
        """Fill it with `count` entries."""
        return self.ask("open", corpus=str(corpus), count=self.count, folder=self._place.name)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._place.cleanup()


def started(spec: Spec, home: Path, count: int) -> Running | None:
    """The subject's process; None if its environment cannot be made."""
    interpreter = python(home, spec.env)
    return None if interpreter is None else Running(spec, interpreter, count)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise Failed("its process has no pipes")
    return process.stdin, process.stdout
