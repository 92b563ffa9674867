"""kill -9 at random moments: no acknowledged answer is lost, and the index comes back.

A few rounds by default; SEMCACHE_STRESS_ROUNDS=200 for a long run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_values import Wide, entry, wide

from semcache_core.store import Store, open_store

ROUNDS = int(os.environ.get("SEMCACHE_STRESS_ROUNDS", "4"))
LIMIT = 200

VICTIM = """
import sys
sys.path.insert(0, sys.argv[2])
from test_store_kill import write_for_ever
write_for_ever(sys.argv[1], int(sys.argv[3]))
"""


def write_for_ever(path: str, first: int) -> None:
    """Put, replace and delete, and name on stdout what was acknowledged."""
    store = opened(Path(path))
    store.nearest("scope", wide(first), 1)
    for i in range(first, first + 10**6, 8):
        store.put(
            [entry(f"k{j}", vector=wide(j), payload=b"answer %d" % j) for j in range(i, i + 8)]
        )
        print("put", i, flush=True)
        store.touch(f"k{i}")
        if i % 3 == 0:
            store.delete([f"k{i + 1}"])
            print("deleted", i + 1, flush=True)
        if i % 5 == 0:
            store.put([entry(f"k{i + 2}", vector=wide(i + 2), payload=b"replaced")])
            print("replaced", i + 2, flush=True)


def opened(path: Path) -> Store:
    """A store whose scope is promoted early."""
    return open_store(path, embedder=Wide(), scan_limit=LIMIT, poll=0.0)


def killed(path: Path, first: int, seconds: float) -> list[tuple[str, int]]:
    """Let a process write for a while, kill it; what it had acknowledged."""
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path), str(Path(__file__).parent), str(first)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    begun = victim.stdout.readline()
    time.sleep(seconds)
    victim.send_signal(signal.SIGKILL)
    said = begun + victim.stdout.read()
    victim.stdout.close()
    assert victim.wait() == -signal.SIGKILL
    whole = said[: said.rfind("\n") + 1]  # the kill may have cut the last line short
    return [(what, int(i)) for what, i in (line.split() for line in whole.splitlines())]


def expected(acknowledged: list[tuple[str, int]], answers: dict[int, bytes]) -> None:
    """Bring `answers` up to date with what was acknowledged."""
    for what, i in acknowledged:
        if what == "put":
            answers |= {j: b"answer %d" % j for j in range(i, i + 8)}
        elif what == "replaced":
            answers[i] = b"replaced"
        else:
            answers.pop(i, None)


def check(path: Path, answers: dict[int, bytes], last: int) -> None:
    """Everything acknowledged is there, exactly and by similarity, and the figures are right."""
    store = opened(path)
    store._entries.check()  # type: ignore[attr-defined]  # an SqlEntries
    kept = {found.key: found for found in store.entries()}
    # The kill may have come between a commit and its acknowledgement: of the last batch only.
    unsure = {f"k{i}" for i in range(last, last + 16)}
    assert kept.keys() - unsure == {f"k{i}" for i in answers} - unsure
    assert all(kept[f"k{i}"].payload == answers[i] for i in answers if f"k{i}" not in unsure)
    assert store.count() == len(kept)
    assert store.size() == sum(found.size for found in kept.values())
    sample = random.sample(sorted(kept), min(60, len(kept)))
    for _ in range(2):
        for key in sample:
            assert store.nearest("scope", wide(int(key[1:])), 1, 0.99)[0].entry.key == key
        store.flush()
        assert store.health().pending == 0
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_kill(tmp_path: Path) -> None:
    """One path lives through one kill after another."""
    answers: dict[int, bytes] = {}
    first = 0
    for _ in range(ROUNDS):
        acknowledged = killed(tmp_path, first, random.uniform(0.2, 4.0))
        expected(acknowledged, answers)
        last = max(i for _, i in acknowledged) // 8 * 8
        check(tmp_path, answers, last)
        first = last + 16
        store = opened(tmp_path)
        leftover = [f"k{i}" for i in range(last, first)]
        store.delete(leftover)
        for i in range(last, first):
            answers.pop(i, None)
        if len(answers) > 3000:
            store.clear()
            answers.clear()
        store.close()
