"""A calibration kept up to date while labels arrive: looks, audits, the alarm, withdrawal."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.policies import _bounds
from semcache_core.policies._common import number, share
from semcache_core.policies.calibration import FILL, Calibration, calibrate

WINDOW = 8192
"""Labels kept: bounds the state to about 100 kB, and lets old traffic fade."""

FIRST_LOOK = 8
"""The first attempt comes at this many times the fewest hits that could be certified at all: an
earlier one would spend a third of the level on a long shot."""

GROWTH = 1.5
"""The next attempt comes when there are this many times the labels of the last."""

WORTH = 0.5
"""The first certificate must serve this much of what the labels promise, unless there are more
than PATIENCE of them. Serving slows the labels down some twenty times, so a poor first
certificate would stay for long."""

PATIENCE = 3000

SPARE = 1000
"""Of fewer labels than this none is left out for its age."""

ALARM = 100.0
"""Capital of the bet against the certificate at which it is withdrawn (`_bounds.wager`)."""


class Certificate:
    """Labels in, threshold out. Not thread-safe: its owner holds a lock.

    Testing again and again would certify anything in the end, so the level is spent over the
    looks (`_bounds.spending`): with probability `confidence` none of the certificates given
    until an alarm was wrong. A look that certifies nothing leaves the certificate before it in
    force; only an alarm withdraws one, and then the labels of the traffic that was are dropped.

    A certificate is about the long run, and what is counted over few hits scatters around it: of 40
    hits at a true 2%, more than 5% are false in one of 20 runs. So a first one is rehearsed: what
    it would serve is compared instead, until those fresh hits alone say that the budget is kept.
    That also keeps service from a threshold that looked best on the labels which chose it.

    Labels must be a sample of the lookups that does not depend on the outcome: all of them, or
    each with the same chance, hit or miss. An attempt leaves out the oldest `forget` of them: where
    the scores get better with what is learnt, those of the start say little of how it is now.
    Raises ConfigError.
    """

    def __init__(
        self,
        max_false_hit_rate: float,
        confidence: float = 0.95,
        fill: float = FILL,
        forget: float = 0.0,
    ) -> None:
        self.rate = share("max_false_hit_rate", max_false_hit_rate, "For example 0.01.")
        self.confidence = share("confidence", confidence, "For example 0.95.")
        self.fill = number("fill", fill, 1.0, 100.0)
        self.forget = number("forget", forget, 0.0, 0.9)
        self.alarms = 0
        self._start_over()

    def _start_over(self) -> None:
        self.scores: deque[float] = deque(maxlen=WINDOW)
        self.labels: deque[bool] = deque(maxlen=WINDOW)
        self.seen = 0
        self.looks = 0
        strict, level = self.rate / self.fill, 1.0 - self.confidence
        self.due = FIRST_LOOK * _bounds.clean_hits_needed(strict, level, _bounds.in_the_long_run)
        self.capital = 1.0
        self.rehearsed, self.failed, self.missing = 0, 0, self._unrehearsed(0, 0)
        self._found = self._calibrated(self.confidence)

    @property
    def threshold(self) -> float | None:
        """Serve from this score on; None: nothing is certified, or not rehearsed yet."""
        return None if self.missing else self._found.threshold

    @property
    def calibration(self) -> Calibration:
        """What the newest look found; without a certificate, what is missing as of now."""
        if not self._found.certified:
            return replace(self._found, labels=self.seen, needed=self._missing(self._found.needed))
        return self._instead(self._found, self.missing) if self.missing else self._found

    def _missing(self, needed: int | None) -> int | None:
        """Labels until the next attempt, or what the last one found missing, if that is more."""
        if needed is None:
            return None
        since = self.seen - (round(self.due / GROWTH) if self.looks else 0)
        return max(1, self.due - self.seen, needed - since)

    def add(self, score: float, correct: bool) -> None:
        """Count one label; calibrate again, or withdraw, when it is time."""
        if self._found.threshold is not None and score >= self._found.threshold:
            self.capital = _bounds.wager(self.capital, not correct, self.rate)
            if self.capital >= ALARM:
                self.alarms += 1
                self._start_over()
                return
            self._rehearse(correct)
        # Six digits are more than a score means, and keep the state small.
        self.scores.append(round(score, 6))
        self.labels.append(bool(correct))
        self.seen += 1
        if self.seen >= self.due:
            self.look()

    def _rehearse(self, correct: bool) -> None:
        """Count a hit that was compared before any was served."""
        if self.missing:
            self.rehearsed += 1
            self.failed += not correct
            self.missing = self._unrehearsed(self.failed, self.rehearsed)

    def _unrehearsed(self, failed: int, rehearsed: int) -> int:
        """How many more right ones there must be until such hits tell that the budget is kept."""
        strict, level = self.rate / self.fill, 1.0 - self.confidence
        return max(0, _bounds.hits_until(failed, strict, level) - rehearsed)

    def look(self) -> None:
        """Calibrate on what there is, at the part of the level that this look may spend."""
        self.looks += 1
        self.due = math.ceil(max(self.due, self.seen) * GROWTH)
        found = self._calibrated(1.0 - _bounds.spending(1.0 - self.confidence, self.looks))
        if not self._found.certified:
            self._found = found if self._worthwhile(found) else self._later(found)
        elif found.certified:
            self._found = found

    def _worthwhile(self, found: Calibration) -> bool:
        enough = found.hit_rate >= WORTH * found.potential or found.labels > PATIENCE
        return enough or not found.certified

    def _later(self, found: Calibration) -> Calibration:
        """What is said instead of a certificate that is not worth having yet."""
        return self._instead(found, self.due - self.seen)

    def _instead(self, found: Calibration, needed: int) -> Calibration:
        """That so many more are needed, though there is a certificate."""
        return Calibration(
            self.rate, found.confidence, self.seen, potential=found.potential, needed=needed
        )

    def _calibrated(self, confidence: float) -> Calibration:
        # A certificate that is renewed has no "next hits" to speak of, so it is about the long run.
        count, test = len(self.scores), _bounds.in_the_long_run
        old = int(self.forget * count) if count >= SPARE else 0
        scores, labels = list(self.scores)[old:], list(self.labels)[old:]
        found = calibrate(scores, labels, self.rate, confidence, fill=self.fill, test=test)
        # What one look may spend is stricter than what holds over all of them.
        return replace(found, confidence=self.confidence)

    def dump(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "budget": [self.rate, self.confidence, self.fill],
            "calibration": self._found.to_json(),
            "scores": list(self.scores),
            "labels": "".join("01"[label] for label in self.labels),
            "counts": [self.seen, self.looks, self.due, self.alarms],
            "capital": self.capital,
            "rehearsal": [self.rehearsed, self.failed],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what `dump` gave; labels serve another budget too, its threshold does not.

        Raises ConfigError, and changes nothing, if this is not what `dump` gave.
        """
        try:
            scores = [float(score) for score in saved["scores"]]
            labels = [{"0": False, "1": True}[label] for label in saved["labels"]]
            seen, looks, due, alarms = (int(count) for count in saved["counts"])
            capital = float(saved["capital"])
            rehearsed, failed = (int(count) for count in saved.get("rehearsal", (0, 0)))
            calibration = Calibration.from_json(saved["calibration"])
            same = list(saved["budget"]) == [self.rate, self.confidence, self.fill]
            if len(scores) != len(labels):
                raise ValueError(f"{len(scores)} scores but {len(labels)} labels")
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a saved certificate: {error!r}") from error
        self._start_over()
        self.scores.extend(scores)
        self.labels.extend(labels)
        self.seen, self.alarms = seen, alarms
        if same:
            self.looks, self.due, self.capital = looks, due, capital
            self.rehearsed, self.failed = rehearsed, failed
            self.missing = self._unrehearsed(failed, rehearsed)
            self._found = calibration
        elif seen >= self.due:
            self.look()
