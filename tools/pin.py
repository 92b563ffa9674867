"""Print the pins of everything installed beside this interpreter: `make constraints` runs it.

A pin whose release does not support the oldest Python of the project carries a marker, so that pip
is free to take an earlier release there. Local version suffixes (`+cpu`) are dropped: which build
of a release is taken is the machine's business.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

OURS = "llm-semcache"
OLDEST = "3.10"
# The installer is the user's; what tests a machine without it must not be pinned by one with it.
SKIPPED = {"pip", OURS}


def name_of(distribution: Distribution) -> str:
    """The distribution's name as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def needed(found: dict[str, Distribution]) -> set[str]:
    """Names of what our `dev` extra brings along, and nothing that only this machine has."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(OURS, frozenset({"dev"}))]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name not in found:
            continue
        seen.add((name, extras))
        waiting += [
            (re.sub(r"[-_.]+", "-", need.name).lower(), frozenset(need.extras))
            for need in map(Requirement, found[name].requires or [])
            if _applies(need, extras)
        ]
    return {name for name, _ in seen}


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""}))


def pin(distribution: Distribution) -> str:
    """One line: `name==version`, with a marker where the oldest Python is not supported."""
    line = f"{name_of(distribution)}=={Version(distribution.version).public}"
    supported = distribution.metadata.get("Requires-Python")
    if supported and f"{OLDEST}.99" not in SpecifierSet(supported):
        line += f' ; python_version > "{OLDEST}"'
    return line


def main() -> None:
    """Write the pins, sorted by name, to standard output."""
    found = {name_of(one): one for one in distributions()}
    pins = [pin(found[name]) for name in sorted(needed(found) - SKIPPED)]
    sys.stdout.write("\n".join(["# Written by `make constraints`.", *pins]) + "\n")


if __name__ == "__main__":
    main()
