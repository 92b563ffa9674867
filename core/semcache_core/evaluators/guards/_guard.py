"""What a guard is, and which guards can have something to say of a pair."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import NamedTuple

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text


class Guard(NamedTuple):
    """Finds one kind of difference, and tells in advance which texts can have it.

    Most guards have nothing to say of most texts, and a text is compared with many: so each is
    asked once a text, and a pair is shown only to those it concerns.
    """

    differ: Callable[[Pair], str]
    """The reason to reject, or ""."""
    touched: Callable[[Text], bool] | None = None
    """Whether the text has what the guard looks for; None: any text has."""
    words: Set[str] = frozenset()
    """If there are any, no text has it that says none of them: which costs less to find out."""
    both: bool = False
    """Whether it takes two such texts to differ; else one is enough."""
    reorders: bool = False
    """Whether two texts of the same words may differ by it as well."""

    def concerns(self, mark: int, either: int, both: int, *, same: bool) -> bool:
        """Whether it may have something to say of a pair.

        `mark` is its bit in `either`, what touches one text or the other, and in `both`; `same`:
        the texts have the same words.
        """
        if self.touched is None or (self.reorders and same):
            return True
        return bool(mark & (both if self.both else either))
