"""Chance as a pure function, so that a decision can be repeated and explained."""

from __future__ import annotations

import hashlib


def draw(seed: int, *parts: object) -> float:
    """A number in [0, 1), uniform over the values of `parts` and fixed for each.

    A generator's hidden state would make `decide` impure, and its draws depend on the order of
    threads.
    """
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2.0**56
