"""Kill and damage a store, round after round, and see whether anything acknowledged is lost.

    python -m benchmarks.durability --rounds 200 [--seed 1] [--keep FOLDER]

Each round a process writes to one path and is killed (SIGKILL) at a random moment, or in the middle
of a write of the index; or the index is damaged while nobody has it open: pages overwritten, files
truncated or removed, made by a Chroma with other settings. Then the path is opened again. It counts
as survived if opening works; every answer that was acknowledged is found by its key, at once, and
by its vector; and the index is whole again. Prints a line a round and a summary; exits with 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.errors import StoreError
from semcache_core.models import Entry, Vector
from semcache_core.store import Store, open_store

DIMENSION = 24
LIMIT = 200
"""Entries of the scope from which on it is in Chroma."""
MOST = 3_000
"""Entries at which a round begins with an empty cache."""
ORDINARY = ("kill", "kill in a flush")


class Embedder:
    """What a store asks of an embedder; vectors come from numbers here."""

    identity = "numbers"
    dimension = DIMENSION


def vector(i: int) -> Vector:
    """A unit vector that has no other near it."""
    made = np.random.default_rng(i).standard_normal(DIMENSION).astype(np.float32)
    return made / np.linalg.norm(made)


def answer(i: int, payload: bytes = b"") -> Entry:
    """The i-th entry."""
    return Entry(f"k{i}", "scope", "", payload or b"answer %d" % i, 0.0, f"q{i}", vector(i))


def opened(path: Path) -> Store:
    """A store that looks for others' changes at each lookup."""
    store_of: Any = open_store
    made: Store = store_of(path, embedder=Embedder(), scan_limit=LIMIT, poll=0.0)
    return made


# -- the victim ---------------------------------------------------------------------------------


def write_for_ever(path: str, first: int, tell_flushes: bool) -> None:
    """Put, replace and delete, and name on stdout what was acknowledged."""
    if tell_flushes:
        _tell_flushes()
    store = opened(Path(path))
    store.nearest("scope", vector(first), 1)
    for i in range(first, first + 10**6, 8):
        store.put([answer(j) for j in range(i, i + 8)])
        _say("put", i)
        store.touch(f"k{i}")
        if i % 3 == 0:
            store.delete([f"k{i + 1}"])
            _say("deleted", i + 1)
        if i % 5 == 0:
            store.put([answer(i + 2, b"replaced")])
            _say("replaced", i + 2)


def _say(what: str, i: int) -> None:
    os.write(1, f"{what} {i}\n".encode())  # one piece, as two threads speak


def _tell_flushes() -> None:
    from semcache_core.indexes.chroma import ChromaIndex

    write: Callable[..., None] = ChromaIndex._write

    def told(self: ChromaIndex, vectors: dict[str, Vector]) -> None:
        _say("flushing", 0)
        write(self, vectors)

    setattr(ChromaIndex, "_write", told)  # noqa: B010  # mypy knows that methods are not assigned


Said = list[tuple[str, int]]


def killed(path: Path, first: int, *, in_flush: bool, chance: random.Random) -> Said:
    """Let a process write for a while and kill it; what it had acknowledged."""
    code = "from benchmarks.durability import write_for_ever as w; import sys; "
    code += "w(sys.argv[1], int(sys.argv[2]), bool(int(sys.argv[3])))"
    victim = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(first), str(int(in_flush))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(["", *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    said = victim.stdout.readline()
    if in_flush:
        wanted, seen = chance.randint(1, 6), 0
        while seen < wanted and (line := victim.stdout.readline()):
            said += line
            seen += line.startswith("flushing")
        time.sleep(chance.uniform(0, 0.03))  # a write takes some 40 ms
    else:
        time.sleep(chance.uniform(0.2, 3.0))
    victim.send_signal(signal.SIGKILL)
    said += victim.stdout.read()
    victim.stdout.close()
    if victim.wait() != -signal.SIGKILL:
        raise SystemExit("the victim ended by itself")
    whole = said[: said.rfind("\n") + 1]  # the kill may have cut the last line short
    lines = [(what, int(i)) for what, i in (line.split() for line in whole.splitlines())]
    return [line for line in lines if line[0] != "flushing"]


# -- damage done to an index that nobody has open -------------------------------------------------


def _files(path: Path, pattern: str) -> list[Path]:
    return sorted(one for one in (path / "index").rglob(pattern) if one.is_file())


def _overwritten(path: Path, chance: random.Random) -> None:
    for file in _files(path, "*.bin") + _files(path, "chroma.sqlite3"):
        if size := file.stat().st_size:
            with file.open("r+b") as handle:
                handle.seek(chance.randrange(size))
                handle.write(chance.randbytes(min(size, 20_000)))


def _truncated(path: Path, chance: random.Random) -> None:
    for file in _files(path, "*.bin") or _files(path, "chroma.sqlite3"):
        os.truncate(file, chance.randrange(file.stat().st_size + 1))


def _removed(path: Path, chance: random.Random) -> None:
    files = _files(path, "*")
    for file in chance.sample(files, min(len(files), 2)):
        file.unlink()


def _of_another_make(path: Path, _chance: random.Random) -> None:
    """As after an upgrade that reads the former version's files in another way."""
    for file in _files(path, "chroma.sqlite3"):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE collections SET config_json_str = '{}', schema_str = NULL")
            connection.execute("UPDATE collection_metadata SET str_value = '{\"format\": 99}'")


def _left_in_use(path: Path, _chance: random.Random) -> None:
    for folder in (path / "index").glob("[0-9]*"):
        (folder / "in-use").touch()
    (path / "index" / "owner.lock").touch()


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "pages overwritten": _overwritten,
    "files truncated": _truncated,
    "files removed": _removed,
    "another make": _of_another_make,
    "left in use": _left_in_use,
}


# -- rounds -------------------------------------------------------------------------------------


class Trial:
    """One path that lives through one fault after another."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self._chance = path, random.Random(seed)
        self._answers: dict[int, bytes] = {}
        self._first = 0

    def round(self, fault: str) -> str:
        """Do it and look; an empty text, or what was lost."""
        if len(self._answers) > MOST:
            self._begin_anew()
        if fault in ORDINARY:
            said = killed(self.path, self._first, in_flush=fault != "kill", chance=self._chance)
        else:
            said = killed(self.path, self._first, in_flush=False, chance=self._chance)
            opened(self.path).close()
            DAMAGES[fault](self.path, self._chance)
        self._note(said)
        last = max((i for _, i in said), default=self._first) // 8 * 8
        lost = self._look(last)
        self._first = last + 16
        return lost

    def _note(self, said: Said) -> None:
        for what, i in said:
            if what == "put":
                self._answers |= {j: b"answer %d" % j for j in range(i, i + 8)}
            elif what == "replaced":
                self._answers[i] = b"replaced"
            else:
                self._answers.pop(i, None)

    def _look(self, last: int) -> str:
        # The kill may have come between a commit and its acknowledgement: in the last batches only.
        unsure = set(range(last, last + 16))
        try:
            with closing(opened(self.path)) as store:
                lost = "; ".join(self._found_wrong(store, unsure))
                store.delete([f"k{i}" for i in unsure])
        except Exception as error:  # noqa: BLE001  # whatever it is, the round has failed
            return f"{type(error).__name__}: {error}"
        for i in unsure:
            self._answers.pop(i, None)
        return lost

    def _found_wrong(self, store: Store, unsure: set[int]) -> Iterator[str]:
        sure = [i for i in self._answers if i not in unsure]
        wrong = [
            i for i in sure if (e := store.get(f"k{i}")) is None or e.payload != self._answers[i]
        ]
        if wrong:
            yield f"{len(wrong)} of {len(sure)} acknowledged answers are lost or changed"
        more = {e.key for e in store.entries()} - {f"k{i}" for i in self._answers}
        if more - {f"k{i}" for i in unsure}:
            yield f"{len(more)} answers are there that were deleted"
        sample = self._chance.sample(sure, min(len(sure), 60))
        for when in ("at once", "after the index was made whole"):
            unfound = sum(not _finds(store, i) for i in sample)
            if unfound:
                yield f"{unfound} of {len(sample)} are not found by their vectors {when}"
            if not _flushed(store):
                yield "the index is not made whole again"
                return

    def _begin_anew(self) -> None:
        with closing(opened(self.path)) as store:
            store.clear()
        self._answers = {}


def _flushed(store: Store, seconds: float = 120.0) -> bool:
    """Whether the index becomes whole; the first attempts may find out that it is not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(StoreError):
            store.flush()
            if not store.health().pending:
                return True
        time.sleep(0.2)
    return False


def _finds(store: Store, i: int) -> bool:
    found = store.nearest("scope", vector(i), 1, 0.99)
    return bool(found) and found[0].entry.key == f"k{i}"


def rounds(path: Path, count: int, seed: int) -> Iterator[tuple[str, str, float]]:
    """Fault, what was lost, and seconds, of each round; three of four are kills."""
    trial, chance = Trial(path, seed), random.Random(seed)
    for _ in range(count):
        fault = chance.choice(ORDINARY if chance.random() < 0.75 else list(DAMAGES))
        begun = time.monotonic()
        yield fault, trial.round(fault), time.monotonic() - begun


def main() -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder to work in and to leave as it is")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = given.keep or Path(temporary) / "cache"
        done: Counter[str] = Counter()
        failed = 0
        for number, (fault, lost, seconds) in enumerate(rounds(path, given.rounds, given.seed), 1):
            done[fault] += 1
            failed += bool(lost)
            print(f"{number:4} {fault:18} {seconds:6.1f} s  {lost or 'nothing lost'}", flush=True)
    print(f"{given.rounds} rounds, {failed} failed:", dict(done))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
