"""What texts are cut into before anything is known of the pieces."""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    """A piece of the raw text."""

    text: str
    capital: bool
    glued: bool
    """Directly after the token before it, without a space: "5km", "sin(x)"."""
