"""What every subject of the harness shares: it is driven by lines of JSON and times itself.

A subject runs in an environment of its own, so this file needs numpy and nothing else of what is
installed there. A line `{"do": ..., ...}` on standard input is answered by one on standard output.
Texts and vectors come from the corpus's folder; the embedding is thereby taken out of what is
timed, in the same way for all.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Op = Callable[[int], str]
"""Does something with the i-th question and returns the answer it got, "" for none."""
ANSWER_BYTES = 750


class Corpus:
    """Questions, by kind, and their vectors by text."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self.texts: dict[str, list[str]] = {}
        self._rows: dict[str, Any] = {}
        self._where: dict[str, tuple[str, int]] = {}
        for name in ("stored", "paraphrased", "novel"):
            texts = json.loads((folder / f"{name}.json").read_text())
            self.texts[name] = texts
            self._rows[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
            self._where.update((text, (name, i)) for i, text in enumerate(texts))

    def vector(self, text: str) -> Any:
        """What MiniLM made of this text: shape (384,), float32, unit length."""
        name, i = self._where[text]
        return np.array(self._rows[name][i])

    def vectors(self, first: int, last: int) -> Any:
        """Those of stored questions."""
        return np.array(self._rows["stored"][first:last])


def answer(question: str) -> str:
    """As `harness_corpus.answer`, which another environment cannot import."""
    said = f"This is the answer to: {question} "
    return (said * (ANSWER_BYTES // len(said) + 1))[:ANSWER_BYTES]


class Subject:
    """One cache, or one floor. `ops` are what can be timed."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Store the first `corpus.count` questions and their answers."""
        raise NotImplementedError

    def ops(self) -> dict[str, Op]:
        raise NotImplementedError

    def reopen(self) -> None:
        """Close, open again from the disk, and be ready to serve; only if it can."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything."""


class Server:
    """Answers the harness's lines for one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.corpus: Corpus
        self.folder: Path
        self._put = self._novel = 0

    def open(self, corpus: str, count: int, folder: str) -> dict[str, Any]:
        """Fill the subject; memory and disk it took, and seconds."""
        self.corpus, self.folder = Corpus(Path(corpus), count), Path(folder)
        self._put = count
        gc.collect()
        before, started = _resident(), time.perf_counter()
        self.subject.open(self.corpus, self.folder)
        seconds = time.perf_counter() - started
        gc.collect()
        return {
            "ops": list(self.subject.ops()),
            "fill_s": seconds,
            "memory_bytes": (_resident() - before) / count,
            "disk_bytes": _on_disk(self.folder) / count,
        }

    def time(self, op: str, times: int, seconds: float, seed: int) -> dict[str, Any]:
        """Microseconds of each of so many calls, fewer if they take longer than `seconds`."""
        work, pick = self.subject.ops()[op], random.Random(seed)
        taken, right, answered = [], 0, 0
        end = time.perf_counter() + seconds
        while len(taken) < times and (not taken or time.perf_counter() < end):
            i = self._pick(op, pick)
            started = time.perf_counter()
            got = work(i)
            taken.append((time.perf_counter() - started) * 1e6)
            answered += bool(got)
            right += got == self._expected(op, i)
        return {"us": taken, "right": right, "answered": answered}

    def crowd(self, op: str, callers: int, seconds: float) -> dict[str, Any]:
        """So many threads at once for so long: calls a second, and microseconds of each call."""
        work, taken = self.subject.ops()[op], [[] for _ in range(callers)]
        errors: list[str] = []
        start = threading.Barrier(callers + 1)

        def call(number: int) -> None:
            pick, mine = random.Random(number), taken[number]
            start.wait()
            end = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < end:
                try:
                    work(self._pick(op, pick))
                except Exception as error:  # noqa: BLE001  # counted: a peer may fail under load
                    errors.append(repr(error))
                mine.append((time.perf_counter() - begun) * 1e6)

        threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(callers)]
        for thread in threads:
            thread.start()
        start.wait()
        begun = time.perf_counter()
        for thread in threads:
            thread.join()
        lasted = time.perf_counter() - begun
        every = [one for mine in taken for one in mine]
        return {"per_s": len(every) / lasted, "us": every, "errors": len(errors)}

    def reopen(self) -> dict[str, Any]:
        """Seconds from closed to the first answer."""
        self.subject.close()
        started = time.perf_counter()
        self.subject.reopen()
        opened = time.perf_counter() - started
        self.subject.ops()["semantic"](0)
        return {"open_s": opened, "first_s": time.perf_counter() - started}

    def close(self) -> dict[str, Any]:
        """Let go of everything."""
        self.subject.close()
        return {}

    def _pick(self, op: str, pick: random.Random) -> int:
        if op == "put":
            self._put += 1
            return self._put - 1
        if op == "miss and put":
            self._novel += 1
            return self._novel - 1
        if op == "miss":
            return pick.randrange(len(self.corpus.texts["novel"]))
        if op == "exact":
            return pick.randrange(self.corpus.count)
        return pick.randrange(min(self.corpus.count, len(self.corpus.texts["paraphrased"])))

    def _expected(self, op: str, i: int) -> str:
        if op == "miss":
            return ""
        return answer(self.corpus.texts["novel" if op == "miss and put" else "stored"][i])


def serve(subject: Subject) -> None:
    """Answer lines until there are no more; what others print goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(subject)
    for line in sys.stdin:
        asked = json.loads(line)
        do = asked.pop("do")
        try:
            said = getattr(server, do)(**asked)
        except Exception as error:  # noqa: BLE001  # said to the harness, which goes on
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=out, flush=True)
    os._exit(0)  # some peers leave threads that keep an interpreter from ending


def _resident() -> int:
    """Bytes of this process's own memory; mapped files, such as the corpus, do not count."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["RssAnon"].split()[0]) * 1024


def _on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
