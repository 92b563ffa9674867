"""Why a prompt hits or misses, for a person."""

from __future__ import annotations

from dataclasses import dataclass

from semcache_core.flow import Survey
from semcache_core.models import Outcome, Scored


@dataclass(frozen=True, slots=True)
class Explanation:
    """A lookup taken apart; `str()` of it is meant to be read."""

    survey: Survey
    outcome: Outcome
    note: str = ""
    """How the question was understood, if that is not plain."""

    def __str__(self) -> str:
        outcome, survey = self.outcome, self.survey
        verdict = "HIT" if outcome else "MISS"
        lines = [f"{verdict} ({outcome.reason.value}): {outcome.detail}"]
        lines.append(f"question: {_short(survey.prompt.query or '(none)')}")
        lines.append(f"scope: {survey.prompt.scope[:12]}  namespace: {survey.prompt.namespace!r}")
        if survey.exact_only:
            lines.append(f"exact match only: {survey.exact_only}")
        if self.note:
            lines.append(f"note: {self.note}")
        lines += [f"withheld ({why.value}): {entry.query!r}" for entry, why in survey.withheld]
        for number, scored in enumerate(survey.scored, 1):
            lines += _candidate(number, scored)
        return "\n".join(lines)


def _short(text: str) -> str:
    """All of it, but for what nobody reads: a file that was taken for a question."""
    return text if len(text) <= 1000 else f"{text[:1000]}... ({len(text)} characters)"


def _candidate(number: int, scored: Scored) -> list[str]:
    candidate, score = scored.candidate, scored.score
    mark = "rejected" if score.rejected else f"value {score.value:.3f}"
    lines = [f"{number}. {candidate.entry.query!r}: {mark}, cosine {candidate.similarity:.3f}"]
    for part in score.parts or (score,):
        note = f" - {part.reason}" if part.reason else ""
        lines.append(f"   {part.by}: {part.value:.3f}{' REJECTED' if part.rejected else ''}{note}")
    return lines
