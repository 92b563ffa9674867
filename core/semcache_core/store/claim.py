"""Whose vectors a record holds: those of different embedders are never compared."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable

import numpy as np

from semcache_core.errors import IncompatibleError
from semcache_core.models import Vector
from semcache_core.protocols import Embedder, EntryStore

_log = logging.getLogger(__name__)

_PROBE = "What is the capital of France?"
_SAME = 0.99
"""Cosine of a text's vectors above which they are one embedder's: machines round differently."""


class Claim:
    """An embedder's claim to a record, by its identity, its dimension, and perhaps a probe.

    A probe, the vector of a known text, is for one whose identity is only the name of a function or
    class. They are kept in the record as `embedder`, `dimension` and `probe`.
    """

    def __init__(
        self, record: EntryStore, identity: str, probe: Callable[[], Vector] | None = None
    ) -> None:
        self._record, self._identity, self._make = record, identity, probe
        self._probe: Vector | None = None

    def check(self, dimension: int | None = None) -> bool:
        """Whether the record is claimed at all. Raises `IncompatibleError` if by another embedder.

        `dimension`: of a vector that the embedder has given, when there is one.
        """
        if not (found := self._record.meta("embedder")):
            return False
        if found != self._identity:
            raise _not_the_same(f"of the embedder {found!r}", repr(self._identity))
        length = self._record.meta("dimension")
        if dimension is not None and length and int(length) != dimension:
            raise _not_the_same(
                f"of dimension {length}", f"{self._identity!r}, of dimension {dimension}"
            )
        if self._make is not None and (stored := self._record.meta("probe")):
            self._compare(_vector(stored), self._probed(self._make))
        return True

    def stake(self, vector: Vector) -> None:
        """Claim the record, before the first vector is written. As `check` raises."""
        if self.check(vector.size):
            return
        if self._make is not None and (probe := self._probed(self._make)) is not None:
            self._record.set_meta("probe", base64.b64encode(probe.tobytes()).decode())
        self._record.set_meta("dimension", str(vector.size))
        self._record.set_meta("embedder", self._identity)

    def withdraw(self) -> None:
        """The record holds no vectors any more: the next embedder may claim it."""
        for name in ("embedder", "dimension", "probe"):
            self._record.set_meta(name, "")

    def _compare(self, stored: Vector | None, ours: Vector | None) -> None:
        if stored is None or ours is None:
            return
        if stored.shape != ours.shape:
            sizes = f"of dimension {stored.size}", f"{self._identity!r}, of dimension {ours.size}"
            raise _not_the_same(*sizes)
        if float(stored @ ours) < _SAME:
            raise _not_the_same(
                f"of another embedder of the same name, {self._identity!r}",
                "a different one (give it an identity: make_embedder(f, identity=...))",
            )

    def _probed(self, make: Callable[[], Vector]) -> Vector | None:
        if self._probe is None:
            try:
                self._probe = np.ascontiguousarray(make(), dtype="<f4")
            except Exception as error:  # noqa: BLE001  # it is somebody else's, and may be out of reach
                _log.warning(
                    "semcache: whether the embedder is the one that filled the store cannot be"
                    " checked now, as it failed: %s",
                    error,
                )
        return self._probe


def probe_of(embedder: Embedder) -> Callable[[], Vector] | None:
    """What gives a vector to know the embedder by; None if its identity says enough."""
    anonymous = getattr(getattr(embedder, "inner", embedder), "anonymous", False)
    return (lambda: embedder.embed([_PROBE])[0]) if anonymous else None


def _vector(text: str) -> Vector | None:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    except (ValueError, binascii.Error):
        return None


def _not_the_same(held: str, given: str) -> IncompatibleError:
    return IncompatibleError(
        f"the store holds vectors {held}, and the embedder here is {given}: use the former, or"
        " another path, or clear() the store with the former and embed anew"
    )
