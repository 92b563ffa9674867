"""What an evaluation found, as frozen values with derived figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from semcache_core.evaluation.shares import Point, Share, point_at, recall_at
from semcache_core.stats import Latency


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong hit, or a miss although a right answer was stored."""

    query: str
    stored: str
    served: bool
    """True: a wrong hit. False: a missed one."""
    similarity: float
    value: float
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of one evaluation; `str()` of it is meant to be read."""

    source: str
    """"pairs", "stream", or "labels" of a shadow cache."""
    lookups: int
    """Pairs, or questions of the stream that no exact match answers."""
    answerable: int
    """Lookups that a right answer was stored for: the hits of an oracle."""
    hits: int
    right: int
    """Hits whose answer was right."""
    exact: int = 0
    """Questions of a stream that repeat an earlier one up to case, spaces and punctuation; they
    are in no other figure."""
    points: tuple[Point, ...] = field(default=(), repr=False)
    """Precision against hit rate (P-CHR) by threshold, strictest first."""
    area: float = math.nan
    """Under the ROC curve of the best candidates' scores."""
    kinds: Mapping[str, Share] = field(default_factory=dict)
    """The share served by kind of pair: 0 is right for a near miss, 1 for a paraphrase."""
    latency: Mapping[str, Latency] = field(default_factory=dict)
    """Seconds a lookup by stage: embed, search, evaluate."""
    mistakes: tuple[Mistake, ...] = field(default=(), repr=False)

    @property
    def hit_rate(self) -> Share:
        return Share(self.hits, self.lookups)

    @property
    def precision(self) -> Share:
        return Share(self.right, self.hits)

    @property
    def false_hit_rate(self) -> Share:
        """Wrong hits / hits."""
        return Share(self.hits - self.right, self.hits)

    @property
    def recall(self) -> Share:
        """Right hits / lookups that a right answer was stored for."""
        return Share(self.right, self.answerable)

    @property
    def rejected(self) -> Share:
        """Lookups without a right answer that were rightly misses."""
        without = self.lookups - self.answerable
        return Share(max(0, without - (self.hits - self.right)), without)

    def recall_at(self, precision: float = 0.95) -> float:
        """The largest recall that some threshold gives at this precision or a better one."""
        return recall_at(self.points, precision)

    def point_at(self, hit_rate: float) -> Point | None:
        """The strictest threshold that gives this hit rate; None if none does."""
        return point_at(self.points, hit_rate)

    def to_dict(self) -> dict[str, Any]:
        """All figures for JSON; what has no value is None."""
        shares = ("hit_rate", "precision", "false_hit_rate", "recall", "rejected")
        return {
            "source": self.source,
            "lookups": self.lookups,
            "answerable": self.answerable,
            "hits": self.hits,
            "right": self.right,
            "exact": self.exact,
            **{name: getattr(self, name).to_dict() for name in shares},
            "area": self.area if math.isfinite(self.area) else None,
            "recall_at_precision": {str(p): self.recall_at(p) for p in (0.9, 0.95, 0.98, 0.99)},
            "kinds": {kind: share.to_dict() for kind, share in self.kinds.items()},
            "latency": {stage: asdict(latency) for stage, latency in self.latency.items()},
            "curve": self.plot(),
            "mistakes": [asdict(one) for one in self.mistakes],
        }

    def plot(self) -> dict[str, list[float]]:
        """The P-CHR curve as columns: threshold, hit_rate, precision, recall."""
        names = ("threshold", "hit_rate", "precision", "recall")
        return {name: [getattr(point, name) for point in self.points] for name in names}

    def __str__(self) -> str:
        lines = [
            f"{self.lookups} lookups ({self.source}), {self.answerable} with a right answer stored",
            f"hit rate        {self.hit_rate}",
            f"precision       {self.precision}",
            f"false-hit rate  {self.false_hit_rate}",
            f"recall          {self.recall}  (at precision .95: {self.recall_at():.3f})",
        ]
        lines += self._curve()
        if self.source == "stream":
            lines.insert(1, f"exact repeats   {self.exact}, which any cache serves; counted apart")
        lines += [f"{kind:22} served {share}" for kind, share in self.kinds.items()]
        lines += [
            f"{stage:15} {1e3 * time.p50:.3f} ms median, {1e3 * time.p95:.3f} ms p95"
            for stage, time in self.latency.items()
        ]
        return "\n".join(lines)

    def _curve(self) -> list[str]:
        """The P-CHR curve as rows of text; where it ends, no threshold hits more."""
        found = [(n / 10, self.point_at(n / 10)) for n in range(1, 11)]
        told = [(rate, point) for rate, point in found if point is not None]
        rows = {
            "at a hit rate of": [f"{rate:5.1f}" for rate, _ in told],
            "precision is": [f"{point.precision:5.3f}" for _, point in told],
            "by threshold": [f"{point.threshold:5.3f}" for _, point in told],
        }
        return [f"{name:16}{'  '.join(cells)}" for name, cells in rows.items()] if told else []
