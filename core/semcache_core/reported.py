"""What becomes of an answer that somebody reported as wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.flow import Parts, embedded
from semcache_core.keys import variant
from semcache_core.learning import Learning
from semcache_core.models import Candidate, Hit, Miss, Reason, Score, Scored
from semcache_core.steps import run

log = logging.getLogger("semcache")

Mark = Mapping[str, Any]
"""What adapters put on a served answer (`Hit.mark`)."""


def mark_of(hit: Any) -> Mark:
    """That of a hit, or the mark itself; raises `ConfigError` for anything else."""
    mark = hit.mark if isinstance(hit, Hit) else hit
    if not (isinstance(mark, Mapping) and {"id", "prompt", "hit"} <= mark.keys()):
        raise ConfigError(f"report_wrong: give a hit or its mark, not {hit!r}")
    return mark


def withdrawn(parts: Parts, mark: Mark, delete: Callable[..., int]) -> bool:
    """Whether the answer is served for its very own prompt; then its entry is deleted."""
    if mark["hit"] != Reason.EXACT.value and mark["id"] != mark["prompt"]:
        return False
    # Of several answers to a prompt a fresh one does not know its place: all go.
    several = parts.variety.answers if mark.get("fresh") else 1
    gone = delete(*(variant(mark["id"], number) for number in range(several)))
    if not gone and mark.get("named"):
        log.warning("semcache: report_wrong: nothing is stored under %.80r", mark["id"])
    return True


def blocked(parts: Parts, learning: Learning, mark: Mark, served: Hit | None) -> None:
    """Never serve that entry for that prompt again; a learning policy is told, if it can be."""
    parts.blocked.block(mark["prompt"], mark["id"])
    parts.recorder.reported()
    if served is not None:
        _taught(parts, learning, served)


def _taught(parts: Parts, learning: Learning, hit: Hit) -> None:
    try:
        query = run(embedded(parts, hit.prompt))
    except Exception as error:  # noqa: BLE001  # the pair is blocked; only the label is lost
        parts.recorder.error(error)
        return
    scored = Scored(Candidate(hit.entry, hit.similarity), Score(hit.score, "served"))
    learning.report(Miss(hit.prompt, hit.reason, query=query), scored, correct=False)
