"""Ids of answers served: fresh, whatever the program does with `random` and with processes."""

from __future__ import annotations

import os
import random

import pytest

from langchain_semcache.identifiers import fresh_uuid


def test_form() -> None:
    """A UUID of version 4, another each time."""
    found = {fresh_uuid() for _ in range(1_000)}
    assert len(found) == 1_000
    assert {one.version for one in found} == {4}


def test_a_seeded_program() -> None:
    """Seeding `random` repeats nothing here, and nothing here takes from the program's numbers."""
    random.seed(1)
    first, number = fresh_uuid(), random.random()
    random.seed(1)
    assert fresh_uuid() != first
    assert random.random() == number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child() -> None:
    """It does not repeat its parent's."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, fresh_uuid().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 16) != fresh_uuid().bytes
    os.close(reading)
    os.close(writing)
