"""Which entries hold the same answer, and how often each answer was right: learnt from labels."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.models import Entry

LIMIT = 10_000
"""Questions remembered: bounds the state to about 400 kB of JSON."""


class Answers:
    """Groups of questions with one answer, and each group's record of labels.

    A label that says "the fresh answer equals the cached one" puts the fresh question into the
    cached one's group, so groups grow for free with the labels. A question that no label ever
    joined to another is a group of its own. Bounded: the least recently labelled go first.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.groups: OrderedDict[str, str] = OrderedDict()
        self.records: OrderedDict[str, list[int]] = OrderedDict()

    def group(self, entry: Entry) -> str:
        """The group of a stored entry's answer."""
        own = question_id(entry.scope, entry.query or entry.key)
        return self.groups.get(own, own)

    def record(self, group: str) -> tuple[int, int]:
        """How many labels said right, and wrong, of this group's answer."""
        right, wrong = self.records.get(group, (0, 0))
        return right, wrong

    def learn(self, text: str, entry: Entry, right: bool) -> None:
        """The fresh answer to `text` was, or was not, the entry's."""
        group = self.group(entry)
        right_so_far, wrong_so_far = self.record(group)
        self._put(self.records, group, [right_so_far + right, wrong_so_far + (not right)])
        own = question_id(entry.scope, text)
        if right:
            self._put(self.groups, own, group)
        elif self.groups.get(own) == group:
            del self.groups[own]

    def dump(self) -> dict[str, Any]:
        return {"groups": dict(self.groups), "records": dict(self.records)}

    def load(self, saved: Any) -> None:
        """Raises ConfigError, and changes nothing, if this is not what `dump` gave."""
        try:
            groups = OrderedDict((str(q), str(g)) for q, g in saved["groups"].items())
            records = OrderedDict(
                (str(g), [int(right), int(wrong)]) for g, (right, wrong) in saved["records"].items()
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not saved answers: {error!r}") from error
        self.groups, self.records = groups, records

    def _put(self, table: OrderedDict[str, Any], key: str, value: Any) -> None:
        table[key] = value
        table.move_to_end(key)
        while len(table) > self.limit:
            table.popitem(last=False)


def question_id(scope: str, text: str) -> str:
    """Names a question within its scope; 60 bits keep the state small and never collide here."""
    return hashlib.sha256(f"{scope}\x1f{text}".encode()).hexdigest()[:15]
