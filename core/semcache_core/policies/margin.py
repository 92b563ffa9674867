"""The answer-aware margin: how much nearer is the best answer than the next DIFFERENT one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from semcache_core.models import Action, Decision, Entry, Query, Reason, Scored
from semcache_core.policies._common import DEFAULT_FLOOR, nothing, number, scaled, servable

SameAnswer = Callable[[Entry, Entry], bool | None]
"""Whether two entries hold the same answer; None: cannot tell."""


def same_payload(a: Entry, b: Entry) -> bool:
    """Whether two entries hold the same bytes: exact, and enough for short or canned answers."""
    return a.payload == b.payload


def rival(scored: Sequence[Scored], same: SameAnswer = same_payload) -> Scored | None:
    """The nearest candidate whose answer differs from the best one's; None if there is none.

    A pair that `same` cannot tell apart counts as different: that only makes the margin smaller.
    """
    best = scored[0]
    others = (s for s in scored[1:] if same(best.candidate.entry, s.candidate.entry) is not True)
    return next(others, None)


def margin(scored: Sequence[Scored], same: SameAnswer = same_payload) -> float:
    """s1 + (s1 - s_diff), in [0, 2], for candidates that are best first; at least one.

    s1 is the value of the best candidate, s_diff that of the nearest candidate with another
    answer. Against the value alone it raised hits at 1% errors per request from 33 to 53% on
    BANKING77, 39 to 48% on CLINC150, 17.8 to 21.2% on QQP (oracle labels). The margin to the
    second candidate whatever its answer hurts instead: two entries with the right answer would
    veto one another.

    Without a different answer among the candidates, the nearest one lies no higher than the last
    of them; a lone candidate says nothing of what lies below it, and gets no margin.
    """
    best = scored[0].value
    other = rival(scored, same) or scored[-1]
    return best + (best - other.value)


@dataclass(frozen=True, slots=True)
class MarginPolicy:
    """Serve the best candidate when s1 + (s1 - s_diff) is at least `threshold`, in [0, 2].

    `least`, in [0, 1], is what s1 must reach, however far behind the others are. `same` compares
    two entries' answers: by payload, or by a judge handed in. See `margin` for the formula and its
    source. Raises ConfigError.
    """

    threshold: float
    floor: float = DEFAULT_FLOOR
    same: SameAnswer = same_payload
    least: float = 0.0

    @classmethod
    def beside(cls, threshold: float, floor: float = DEFAULT_FLOOR) -> MarginPolicy:
        """One that serves nothing which a static `threshold` on s1, in [0, 1], would refuse.

        Half way from it to 1 is where a candidate without a margin is served; a lead makes up for
        the rest. A lone perfect match always passes.
        """
        return cls((1.0 + number("threshold", threshold, 0.0, 1.0)) / 2, floor, least=threshold)

    def __post_init__(self) -> None:
        number("threshold", self.threshold, 0.0, 2.0)
        number("floor", self.floor, 0.0, 1.0)
        number("least", self.least, 0.0, 1.0)

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        """`factor` scales the threshold, up to at most 2: above 1 is stricter."""
        usable = servable(scored, self.floor)
        if not usable:
            return nothing(scored, self.floor)
        # Rivals below the floor may not be served, but they still show how near another answer is.
        order = (usable[0], *(s for s in servable(scored, -1.0) if s is not usable[0]))
        value, limit = margin(order, self.same), scaled(self.threshold, factor, 2.0)
        text = f"value with margin {value:.3f} against the threshold {limit:.3f}"
        least = scaled(self.least, factor, 1.0)
        if usable[0].value < least:
            text = f"value {usable[0].value:.3f} against the least of {least:.3f}"
            return Decision(Action.REFUSE, text, threshold=least, why=Reason.BELOW)
        if value < limit:
            return Decision(Action.REFUSE, text, threshold=limit, why=Reason.BELOW)
        return Decision(Action.SERVE, text, usable[:1], limit, Reason.SEMANTIC)
