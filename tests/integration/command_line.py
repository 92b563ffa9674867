"""The console script in this process: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from semcache_core.cli import main


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Shell:
    """Runs `semcache` with its own translation of errors."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def run(self, *arguments: object) -> Ended:
        """Whatever comes of it."""
        self._patch.setattr(sys, "argv", ["semcache", *map(str, arguments)])
        self._capture.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        captured = self._capture.readouterr()
        return Ended(code, captured.out, captured.err)

    def __call__(self, *arguments: object) -> Ended:
        """It has to end well."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended
        return ended

    def told(self, *arguments: object) -> Any:
        """What it says with --json."""
        return self(*arguments, "--json").told


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line."""
    return Shell(monkeypatch, capsys)
