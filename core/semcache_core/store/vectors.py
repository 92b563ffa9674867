"""Which vectors a store takes: those of its own embedder, of unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from semcache_core.errors import ConfigError
from semcache_core.models import Entry, Vector
from semcache_core.store.claim import Claim
from semcache_core.store.follower import Follower


class Vectors:
    """Checks vectors, and to whom the record's belong. `dimension` asks the embedder."""

    def __init__(
        self, claim: Claim, follower: Follower, dimension: Callable[[], int] | None
    ) -> None:
        self._claim, self._follower, self._dimension = claim, follower, dimension
        self._staked = -1
        """The follower's count of restarts when the claim was looked at last."""

    def check(self, owner: str, vector: Vector) -> None:
        """Raise `ConfigError` for what cannot be a vector of this store."""
        expected = self._dimension() if self._dimension else vector.size
        if vector.dtype != np.float32 or vector.shape != (expected,):
            raise ConfigError(
                f"{owner}: its vector should be float32 of shape ({expected},);"
                f" got {vector.dtype} of shape {vector.shape}"
            )
        # Written so that a vector with a NaN fails as well.
        if not abs(float(vector @ vector) - 1.0) < 1e-2:
            raise ConfigError(f"{owner}: its vector is not of unit length")

    def check_all(self, batch: Sequence[Entry]) -> None:
        """As `check`, for each entry that has a vector."""
        for entry in batch:
            if entry.vector is not None:
                self.check(f"entry {entry.key[:12]}", entry.vector)

    def compare(self, vector: Vector) -> None:
        """Raise `IncompatibleError` where the record's vectors are another embedder's."""
        restarts = self._follower.restarts
        if self._staked != restarts and self._claim.check(vector.size):
            self._staked = restarts

    def stake(self, batch: Sequence[Entry]) -> None:
        """Note whose vectors these are, before the first is written. As `compare` raises."""
        vector = next((entry.vector for entry in batch if entry.vector is not None), None)
        restarts = self._follower.restarts  # somebody may have cleared the record meanwhile
        if vector is not None and self._staked != restarts:
            self._claim.stake(vector)
            self._staked = restarts

    def withdraw(self) -> None:
        """The record holds none any more."""
        self._claim.withdraw()
        self._staked = -1
