"""What kind of answer a text asks for: a reason, a time, a person, a permission."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._text import Text, noted

_LOOKED_AT = 400
"""Characters that are looked at: a question says what it asks before that."""
_BE = r"(?:is|are|was|were|'s|s|do|does|did|will|would|can|could|should|shall|has|have|had|to)\b"
_WORDS = re.compile(
    rf"\b(?:(?P<why>why|how\s+come|how\s+(?:can|could)\s+(?:it|this|that)\s+(?:be|happen)|what\s+reason|what\s+(?:makes?|made|causes?|caused)"
    rf"|what\s*(?:is|are|was|were|'s)\s+(?:the\s+)?(?:reasons?|causes?))"
    rf"|how\s+(?P<degree>many|much|long|often|frequently|far|old|tall|big|large|fast|quickly|deep"
    rf"|heavy|late|early|soon|hot|cold|wide)"
    rf"|(?P<how>hows?)\b|(?P<when>when)(?=\s*{_BE})|(?P<where>where)(?=\s*{_BE})"
    rf"|(?P<who>who|whos|whom|whose)\b|(?P<what>whats?|which)\b(?P<of>(?:\W+\w+){{0,5}}))",
    re.IGNORECASE,
)
_NOUNS = (
    ("when", re.compile(r"\b(?:time(?!\s+complexity)|year|date|day|month|century|deadline)\b")),
    ("how", re.compile(r"\b(?:way|ways|steps|procedure|process|command|method|trick)\b")),
    ("much", re.compile(r"\b(?:cost|costs|price|prices|fee|fees|fare|amount|number)\b")),
    ("long", re.compile(r"\b(?:duration)\b")),
    ("far", re.compile(r"\b(?:distance)\b")),
    ("often", re.compile(r"\b(?:frequency|interval)\b")),
)
_DEGREES = {
    "many": "much",
    "frequently": "often",
    "soon": "long",
    "quickly": "fast",
    "large": "big",
}
_FRAME = re.compile(
    r"\W*(?:(?:hi|hello|hey|please|so|and|ok|okay|well|also|just|quick question)\W+(?:there\W+)?)*"
    r"(?:(?:can|could|would|will)\s+(?:you|someone|somebody|anyone|anybody)\b"
    r"|do\s+you\s+(?:happen\s+to\s+)?know\b|does\s+anyone\s+know\b)?\W*",
    re.IGNORECASE,
)
_MODALS = (
    ("how", r"is\s+there\s+(?:a|any|some)\s+(?:\w+\s+)?(?:way|method|trick)\b"),
    (
        "must",
        r"(?:must|(?:do|does|did|am|is|are)\b.{0,40}?\b(?:have\s+to|need\s+to|required"
        r"|obliged|necessary|mandatory))\b",
    ),
    ("should", r"(?:should|ought|is\s+it\s+(?:better|advisable|wise|recommended|worth))\b"),
    (
        "can",
        r"(?:can|could|may|(?:am|is|are)\b.{0,60}?\b(?:possible|allowed|able|permitted|ok"
        r"|okay|legal))\b",
    ),
    ("is", r"(?:is|are|was|were|do|does|did|has|have|had|will|would)\b"),
)
_VERB = re.compile(r"[A-Za-z]+")
_ASKING_VERBS = frozenset(
    ["must", "do", "does", "did", "am", "is", "are", "was", "were", "should", "ought", "can"]
) | frozenset(["could", "may", "has", "have", "had", "will", "would"])
"""One of `_MODALS` begins with each."""
_MAY_ASK = re.compile(r"wh|how", re.IGNORECASE)
_POLAR = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _MODALS)


@noted
def asked(text: Text) -> str:
    """why, how, when, where, who, what, a degree ("much"), can, should, must, is; or ""."""
    raw = text.raw[:_LOOKED_AT].replace("’", "'")
    frame = _FRAME.match(raw)
    start = frame.end() if frame else 0
    polar = _polar(raw, start)
    if polar:
        return polar
    match = _interrogative(raw) if _MAY_ASK.search(raw) else None
    return _kind(match) if match else ""


def _polar(raw: str, start: int) -> str:
    verb = _VERB.match(raw, start)
    if verb is None or verb[0].lower() not in _ASKING_VERBS:
        return ""
    return next((kind for kind, pattern in _POLAR if pattern.match(raw, start)), "")


def _interrogative(raw: str) -> re.Match[str] | None:
    for match in _WORDS.finditer(raw):
        if match["who"] is None or _opens(raw, match.start()):
            return match
    return None


_BEFORE_WHO = frozenset({"by", "for", "to", "with", "of", "from", "and", "know", "me", "is", "so"})


def _opens(raw: str, at: int) -> bool:
    """Whether "who" asks; in "people who" it does not."""
    before = raw[:at].split()
    return not before or before[-1][-1] in ",.:;?!-" or before[-1].lower() in _BEFORE_WHO


_NEXT = re.compile(r"\s+([a-z]+)", re.IGNORECASE)


def _mistyped(match: re.Match[str]) -> bool:
    """Whether "how" is followed by no word that is known: "how mnay"."""
    following = _NEXT.match(match.string, match.end())
    return following is not None and following[1].lower() not in _lexicon.ranks()


def _kind(match: re.Match[str]) -> str:
    degree = match["degree"]
    if degree:
        return _DEGREES.get(degree.lower(), degree.lower())
    if match["how"] and _mistyped(match):
        return ""
    if match["what"]:
        of = match["of"].lower()
        return next((kind for kind, noun in _NOUNS if noun.search(of)), "what")
    return next(kind for kind in ("why", "how", "when", "where", "who") if match[kind])
