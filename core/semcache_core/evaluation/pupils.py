"""A policy that is measured goes on as it was: what an evaluation teaches, it teaches a copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock, RLock

from semcache_core.models import Decision, Query, Scored
from semcache_core.protocols import Learner, Policy

_LOCKS = (type(Lock()), type(RLock()))


@dataclass(frozen=True, slots=True)
class Still:
    """A policy that decides as another one does now, and learns nothing."""

    policy: Policy

    @property
    def floor(self) -> float:
        return self.policy.floor

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        return self.policy.decide(query, scored, factor)


def beside(policy: Policy) -> Policy:
    """What learns in place of `policy`, from where it stands; `Still` if it cannot be copied.

    One that has no state to keep is handed back: nothing that it hears outlasts the evaluation.
    """
    if not isinstance(policy, Learner) or not (state := policy.state()):
        return policy
    try:
        pupil = copy.deepcopy(policy, _shared(policy))
        pupil.restore(state)
    except Exception:  # noqa: BLE001  # whatever a policy of the user's holds, it is left alone
        return Still(policy)
    return pupil


def _shared(policy: Policy) -> dict[int, object]:
    """For `deepcopy`: locks, which cannot be copied, are shared with the copy."""
    held = getattr(policy, "__dict__", {}).values()
    return {id(one): one for one in held if isinstance(one, _LOCKS)}
