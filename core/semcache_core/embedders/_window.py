"""A model's window: how many word pieces of a text it sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_CHARACTERS_A_PIECE = 20
"""More than any tokenizer packs into a piece on average, except out of white space."""

UNBOUNDED = 1_000_000
"""Pieces: tokenizers without a limit name one beyond what fits into a machine's integer."""


class Window:
    """A tokenizer cut to a length; `tokenizers` alone, so torch is not imported. Thread-safe."""

    def __init__(
        self, tokenizer: Tokenizer, length: int, unknown: int | None, prompt: str = ""
    ) -> None:
        tokenizer.no_padding()
        length = min(length, UNBOUNDED)
        tokenizer.enable_truncation(length)
        self._tokenizer = tokenizer
        self._longest = length * _CHARACTERS_A_PIECE
        self._unknown = unknown
        self._prompt = prompt

    @classmethod
    def parse(cls, tokenizer: str, length: int, prompt: str = "") -> Window:
        """From a tokenizer as JSON; `length` in pieces, special ones included.

        `prompt` is what the model wants in front of every text, and counts.
        """
        from tokenizers import Tokenizer

        unknown = _unknown(json.loads(tokenizer)["model"])
        return cls(Tokenizer.from_str(tokenizer), length, unknown, prompt)

    def fits(self, text: str) -> bool:
        """Whether the model sees all of the text.

        It does not see what is cut off, nor what it has no piece for: two texts that differ in such
        a word or emoji have one vector. The limit in characters spares tokenizing a novel.
        """
        if len(text) > self._longest:
            return False
        try:
            encoding = self.encode(text)
        except (TypeError, UnicodeError):  # a lone surrogate: no text in any encoding
            return False
        return not encoding.overflowing and not self._blind(encoding)

    def encode(self, text: str) -> Encoding:
        """The pieces of prompt and text, cut to the window."""
        return self._tokenizer.encode(self._prompt + text)

    def _blind(self, encoding: Encoding) -> bool:
        if self._unknown is None or self._unknown not in encoding.ids:
            return False
        pairs: Sequence[tuple[int, int]] = list(
            zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        )
        return (self._unknown, 0) in pairs


def _unknown(model: dict[str, Any]) -> int | None:
    """The id of the piece that stands for everything without a piece of its own."""
    if model.get("unk_id") is not None:  # Unigram
        return int(model["unk_id"])
    vocabulary = model.get("vocab")
    token = model.get("unk_token")
    return vocabulary.get(token) if isinstance(vocabulary, dict) and token else None
