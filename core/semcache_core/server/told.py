"""What a response's `X-Semcache...` headers say of the decision."""

from __future__ import annotations

from semcache_core.models import Hit, Outcome

_LONGEST = 300  # characters of a reason


def told(outcome: Outcome | None, why_not: str = "") -> dict[str, str]:
    """The headers of a hit, a miss, or (None) a request that the cache was not asked about."""
    if outcome is None:
        return {"x-semcache": "bypass", "x-semcache-reason": _plain(why_not)}
    reason = outcome.detail or outcome.reason.value
    if not isinstance(outcome, Hit):
        detail = f"{outcome.reason.value}: {outcome.detail}" if outcome.detail else reason
        return {"x-semcache": "miss", "x-semcache-reason": _plain(detail)}
    return {
        "x-semcache": "hit",
        "x-semcache-kind": outcome.reason.value,
        "x-semcache-similarity": f"{outcome.similarity:.4f}",
        "x-semcache-score": f"{outcome.score:.4f}",
        "x-semcache-entry": outcome.id,
        "x-semcache-age": str(int(outcome.age)),
        "x-semcache-reason": _plain(reason),
    }


def _plain(text: str) -> str:
    """Printable ASCII on one line: reasons quote users' words, which may be anything."""
    shown = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    shown = "".join(one if " " <= one <= "~" else "?" for one in shown)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
