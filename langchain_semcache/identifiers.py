"""Random identifiers without the kernel: `uuid4` takes longer than all else of an exact hit.

The source is our own, so that a program that seeds `random` does not get an id twice, and is
seeded anew in a forked child.
"""

from __future__ import annotations

import os
from random import Random
from uuid import UUID

_source = Random()  # noqa: S311 - for names, not for secrets
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_source.seed)


def fresh_uuid() -> UUID:
    """A random UUID, version 4; unique, but not for secrets."""
    return UUID(int=_source.getrandbits(128), version=4)
