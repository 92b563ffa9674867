"""What all parts of a configuration share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from semcache_core.evaluators import RECOMMENDED_FLOOR, RECOMMENDED_THRESHOLD
from semcache_core.protocols import Embedder


class Strict(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    def given(self) -> dict[str, Any]:
        """The settings that were given, as arguments of the part's class."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "kind"}


@dataclass
class Building:
    """What parts are built with."""

    embedder: Callable[[], Embedder]
    """The cache's; asking for it makes it."""
    folder: Path = field(default_factory=Path)
    """Where file names start from: the configuration's own folder."""
    evaluator: str | None = None
    """Its identity, where a policy can depend on it."""
    floor: float = RECOMMENDED_FLOOR
    threshold: float | None = RECOMMENDED_THRESHOLD
    """The evaluator's own, for a policy that names none."""

    def path(self, name: str) -> str:
        """A file or folder as the configuration names it, seen from where the program runs."""
        path = Path(name).expanduser()
        return str(path if path.is_absolute() else self.folder / path)

    def model(self, name: str) -> str:
        """A model is a folder, if there is one of that name, else a name on the hub."""
        path = self.path(name)
        return path if Path(path).is_dir() else name


def by_name(value: Any) -> Any:
    """A kind alone stands for the part with its default settings."""
    return {"kind": value} if isinstance(value, str) else value
