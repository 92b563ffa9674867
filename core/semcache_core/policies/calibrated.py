"""Serve only what a certificate covers: a ranking and a threshold, learnt from live labels."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.models import Action, Decision, Query, Reason, Score, Scored
from semcache_core.policies._coin import draw
from semcache_core.policies._common import DEFAULT_FLOOR, nothing, number, servable, share
from semcache_core.policies._evidence import EVIDENCE, PRIOR, SPREAD, evidence_of
from semcache_core.policies._logistic import Logistic
from semcache_core.policies.calibration import FILL, Calibration
from semcache_core.policies.certificate import Certificate

log = logging.getLogger("semcache")

AUDIT_RATE = 0.05
"""Share of would-be hits that ask the model all the same: a served hit yields no label."""

COUNTS = "counts for the certificate"
"""Marks a candidate whose label belongs to the sample. Others teach and do not count: shadow mode
labels every would-be hit, but only some of the misses are, so that together they are no sample."""


REMEMBERED = 4096
"""Questions that got a neighbour's answer: so many of the newest are known when asked again."""


class CalibratedPolicy:
    """Keeps the false-hit rate of semantic hits under `max_false_hit_rate`, or serves none.

    Uncertified, it refuses and asks for a label at every lookup, so that only exact hits are
    served while labels collect; then it serves the best candidate when the learnt probability that
    it is right reaches the certified threshold. That comes from a logistic regression on cosine and
    score (`_evidence`), as neither alone is good on all traffic; what a guard rejects is never
    served, whatever the labels say. From then on `audit_rate` of the would-be hits explore, and
    `label_misses` of the misses are compared, so that the certificate rests on the traffic as it
    is, is renewed, and is withdrawn when the hits turn bad. Which ones is fixed by `seed`.
    A question that was served and is asked again is compared once: it is an exact repeat from then
    on, and one false hit on a popular question does not become many. Thread-safe.

    Only labels of what a decision marked for it count (`COUNTS`): any others may have been picked
    by their outcome, and then say nothing of the rate.

    Raises ConfigError.
    """

    name = "calibrated"
    features: tuple[str, ...] = EVIDENCE
    forget = 0.0
    """See `Certificate`."""

    def __init__(
        self,
        max_false_hit_rate: float,
        confidence: float = 0.95,
        *,
        floor: float = DEFAULT_FLOOR,
        audit_rate: float = AUDIT_RATE,
        label_misses: float | None = None,
        fill: float = FILL,
        seed: int = 0,
    ) -> None:
        self._certificate = Certificate(max_false_hit_rate, confidence, fill, self.forget)
        self._floor = number("floor", floor, 0.0, 1.0)
        self._audit_rate = share("audit_rate", audit_rate, "Without audits nothing sees drift.")
        # Misses are sampled like hits, or the labels would hold too many misses to be a sample.
        chance = audit_rate if label_misses is None else label_misses
        self._label_misses = number("label_misses", chance, self._audit_rate, 1.0)
        self._seed = seed
        self._lock = threading.Lock()
        self._observed = 0
        self._model = self._prior()
        self._served: dict[int, None] = {}

    @property
    def floor(self) -> float:
        return self._floor

    @property
    def calibration(self) -> Calibration:
        """The certificate in force, or what is missing for one; `str` of it is a sentence."""
        return self._certificate.calibration

    @property
    def alarms(self) -> int:
        """How often audits have withdrawn a certificate."""
        return self._certificate.alarms

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        """A `factor` above 1 is stricter; below 1 changes nothing: no call may void the budget."""
        usable = servable(scored, self._floor)
        if not usable:
            return nothing(scored, self._floor)
        with self._lock:
            best = self._view(usable)
            limit, observed = self._certificate.threshold, self._observed
            again = _asked(query, best) in self._served
        if limit is None:
            text, counted = str(self.calibration), (_counted(best),)
            return Decision(Action.REFUSE, text, counted, why=Reason.UNCERTIFIED)
        # One coin for all: the labels that count are a sample of the lookups, hits or misses.
        coin = draw(self._seed, observed, query.text, best.candidate.entry.key)
        asked = _counted(best) if coin < self._audit_rate else best
        if best.value < limit:
            text = f"{self.name} value {best.value:.4f} is below the certified {limit:.4f}"
            wanted = (asked,) if coin < self._label_misses else ()
            return Decision(Action.REFUSE, text, wanted, limit, Reason.BELOW)
        if asked is not best:
            text = f"audit of a hit: {self.name} value {best.value:.4f}"
            return Decision(Action.EXPLORE, text, (asked,), limit, Reason.EXPLORED)
        return self._reached(best, limit, factor, again=again)

    def _reached(self, best: Scored, limit: float, factor: float, *, again: bool) -> Decision:
        """What becomes of a candidate that the certificate covers and that is not audited."""
        if best.value < limit * max(1.0, number("factor", factor, 0.0, 1000.0)):
            text = f"{self.name} value {best.value:.4f} is below {factor:g} times {limit:.4f}"
            return Decision(Action.REFUSE, text, (), limit, Reason.BELOW)
        if again:
            text = "asked again: compared once, and an exact repeat from then on"
            return Decision(Action.EXPLORE, text, (best,), limit, Reason.EXPLORED)
        text = f"{self.name} value {best.value:.4f} reaches the certified {limit:.4f}"
        return Decision(Action.SERVE, text, (best,), limit, Reason.SEMANTIC)

    def observe(self, query: Query, scored: Scored, correct: bool) -> None:
        """Learn a label; only what a decision put into `chosen` counts for the certificate."""
        asked_for = scored.score.by == self.name
        with self._lock:
            self._observed += 1
            if asked_for and scored.score.reason == COUNTS:
                self._add(scored.value, correct)
            self._learn(query, scored, correct, asked_for)

    def served(self, query: Query, scored: Scored) -> None:
        """Remember who got a neighbour's answer: the same question again is compared."""
        with self._lock:
            self._served[_asked(query, scored)] = None
            if len(self._served) > REMEMBERED:
                del self._served[next(iter(self._served))]

    def state(self) -> str:
        """What was learnt, as JSON: at most about 100 kB of labels."""
        with self._lock:
            return json.dumps(self._dump())

    def restore(self, state: str) -> None:
        """Take over what `state` gave; from another policy's state nothing is learnt.

        Scores of another embedder or evaluator mean something else: do not restore across those.
        Raises ConfigError, and changes nothing, if `state` is damaged.
        """
        try:
            saved = json.loads(state)
            other = saved["policy"] != self.name
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a saved policy ({error!r}): {state[:40]!r}") from error
        if other:
            log.info("semcache: the %s policy starts anew", self.name)
            return
        with self._lock:
            self._load(saved)

    def _prior(self) -> Logistic:
        """What is believed before the first label."""
        return Logistic(PRIOR, SPREAD)

    def _view(self, usable: Sequence[Scored]) -> Scored:
        """The candidate that may be served, with the value that the certificate is about.

        Its score bears the policy's name, so that `observe` knows it again.
        """
        return self._viewed(usable[0], evidence_of(usable[0]))

    def _viewed(self, best: Scored, features: Sequence[float]) -> Scored:
        """With the learnt probability as its value; its own score is the last of the parts."""
        parts = tuple(Score(x, name) for x, name in zip(features, self.features, strict=True))
        score = Score(self._model.probability(features), self.name, parts=(*parts, best.score))
        return replace(best, score=score)

    def _learn(self, query: Query, scored: Scored, correct: bool, asked_for: bool) -> None:
        """What a label teaches beyond the certificate."""
        if asked_for:
            features = [part.value for part in scored.score.parts[: len(self.features)]]
            self._model.learn(features, correct)

    def _add(self, value: float, correct: bool) -> None:
        """Count a label, and tell the log when that changes what may be served."""
        before, alarms = self._certificate.threshold, self._certificate.alarms
        self._certificate.add(value, correct)
        now = self._certificate.threshold
        if self._certificate.alarms > alarms:
            log.warning(
                "semcache: audited hits go over the budget; none until it is certified anew"
            )
        elif now != before:
            log.info("semcache: %s", self._certificate.calibration)

    def _dump(self) -> dict[str, Any]:
        return {
            "policy": self.name,
            "observed": self._observed,
            "model": self._model.dump(),
            "certificate": self._certificate.dump(),
        }

    def _load(self, saved: Mapping[str, Any]) -> None:
        model = self._prior()
        model.load(saved.get("model"))
        self._certificate.load(saved.get("certificate", {}))
        self._observed = int(saved.get("observed", 0))
        self._model = model


def _asked(query: Query, best: Scored) -> int:
    """The question where it was asked; two that collide are compared once too often."""
    return hash((best.candidate.entry.scope, query.text))


def _counted(best: Scored) -> Scored:
    return replace(best, score=replace(best.score, reason=COUNTS))


def own_score(scored: Scored) -> float:
    """What the evaluator said of a candidate, whether or not a learning policy looked at it."""
    learnt = scored.score.by in ("calibrated", "verified") and scored.score.parts
    return scored.score.parts[-1].value if learnt else scored.value
