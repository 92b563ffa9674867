"""Numbers and units: "top 5" is not "top 10", "in miles" is not "in metres"."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._quantities import Quantity
from semcache_core.evaluators.guards._text import Text


def differ(pair: Pair) -> str:
    """The quantities or the units that only one of the texts has."""
    left, right = _unmatched(pair.a.quantities, pair.b.quantities)
    if left or right:
        return f"numbers differ: {_said(left)} / {_said(right)}"
    units_a, units_b = pair.a.units - pair.b.units, pair.b.units - pair.a.units
    if units_a and units_b:
        return f"units differ: {', '.join(sorted(units_a))} / {', '.join(sorted(units_b))}"
    return ""


def touched(text: Text) -> bool:
    """Whether it names a quantity or a unit."""
    return bool(text.quantities or text.units)


def _said(quantities: list[Quantity]) -> str:
    return ", ".join(quantity.said for quantity in quantities) or "none"


def _unmatched(
    a: tuple[Quantity, ...], b: tuple[Quantity, ...]
) -> tuple[list[Quantity], list[Quantity]]:
    if a == b:
        return [], []
    if not a or not b:
        return [q for q in a if not _one(q)], [q for q in b if not _one(q)]
    left, right = _without(a, b), _without(b, a)
    for one in list(left):
        # "80" and "80 dollars" agree: one of the two left the unit out.
        match = next((o for o in right if o.said == one.said and _one_has_no_unit(o, one)), None)
        if match is not None:
            left.remove(one)
            right.remove(match)
    # "one" may go unsaid where it counts nothing that is measured: "which one", "one recipe".
    return [q for q in left if not _one(q)], [q for q in right if not _one(q)]


def _one(quantity: Quantity) -> bool:
    return quantity.said == "1" and not quantity.dimension


def _one_has_no_unit(a: Quantity, b: Quantity) -> bool:
    return "" in (a.dimension, b.dimension)


def _without(a: tuple[Quantity, ...], b: tuple[Quantity, ...]) -> list[Quantity]:
    there = [quantity.key for quantity in b]
    missing = []
    for quantity in a:
        if quantity.key in there:
            there.remove(quantity.key)
        else:
            missing.append(quantity)
    return missing
