"""Throws a million inputs at what untrusted bytes reach: keys, envelopes, codecs, rows.

    python tests/security/fuzz.py [--inputs 1000000] [--seed 0] [--target keys|answers|all]

Uses atheris (coverage-guided; `pip install atheris`, Linux and macOS) if it is installed, and
random mutations of sound inputs otherwise. An input that breaks a promise ends the run with its
bytes and the traceback. The promises:

keys      two values have one digest if and only if they are the same value; what has no stable
          form is an `UncacheableError`, and nothing else is raised
answers   an envelope opens only as it was sealed; a codec or a row gives a value or says that it
          cannot be read, and nothing else is raised
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

try:
    import atheris  # type: ignore[import-not-found,unused-ignore]  # optional, not for all systems
except ImportError:
    atheris = None

Target = Callable[[bytes], None]
TOKENS = [
    b"semcache 1 json ", b"semcache 1 langchain ", b"semcache 1 llamaindex.chat ", b"\n",
    b'"lc": 1',
    b'"type": "constructor"', b'"id": ["langchain", "schema", "messages", "AIMessage"]',
    b'"kwargs": {', b'"semcache:class"', b'"semcache:fields"', b"[", b"]", b"{", b"}", b"\\u0000",
    b"\\ud800", b"\0", b"null", b"1e999", b"-0", b"NaN", b"\xff", b"\xc3\xa9", b"e\xcc\x81",
    b"llama_index.core.base.llms.types:ChatResponse", b"os:system", b"\0set", b"\0sha256",
    b"secret",
]  # fmt: skip


# -- values out of bytes ------------------------------------------------------------------------


class Reader:
    """Reads a value out of any bytes, so that every input means something."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        """The next byte; zero behind the end."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def text(self) -> str:
        """Some characters."""
        size = self.byte() % 9
        raw = self._data[self._at : self._at + size]
        self._at += size
        return raw.decode("utf-8", "surrogateescape")

    def value(self, depth: int = 0) -> Any:
        """Any value a prompt may hold."""
        kind = self.byte() % (11 if depth < 4 else 7)
        if kind >= 7:
            return self._nested(kind, depth)
        simple: tuple[Callable[[], Any], ...] = (
            lambda: None,
            lambda: bool(self.byte() & 1),
            lambda: int.from_bytes([self.byte(), self.byte()], "big", signed=True),
            lambda: (self.byte() - 128) / 4,
            self.text,
            lambda: self.text().encode("utf-8", "surrogateescape"),
            lambda: self.text() * 2,
        )
        return simple[kind]()

    def _nested(self, kind: int, depth: int) -> Any:
        size = self.byte() % 4
        if kind == 7:
            return [self.value(depth + 1) for _ in range(size)]
        if kind == 8:
            return frozenset(self.text() for _ in range(size))
        if kind == 9:
            return {self.byte(): self.value(depth + 1) for _ in range(size)}
        return {self.text(): self.value(depth + 1) for _ in range(size)}


def form(value: Any) -> Any:
    """What a value is, said independently of the code under test."""
    if isinstance(value, str):
        return "text", unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return "mapping", frozenset((form(key), form(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(map(form, value))
    if isinstance(value, frozenset):
        return "set", frozenset(map(form, value))
    return type(value).__name__, repr(value)


# -- targets ------------------------------------------------------------------------------------


def keys_target() -> Target:
    """Two values of each input, and two prompts with them."""
    from semcache_core.errors import UncacheableError
    from semcache_core.keys import digest, make_prompt

    def run(data: bytes) -> None:
        reader = Reader(data)
        one, other = reader.value(), reader.value()
        try:
            same = digest(one) == digest(other)
        except UncacheableError:
            return
        assert same == (form(one) == form(other)), (one, other)
        question = reader.text()
        first = make_prompt(kind="k", exact=one, query=question, namespace=reader.text())
        second = make_prompt(kind="k", exact=other, query=question, namespace=first.namespace)
        assert (first.scope == second.scope) == same
        assert (first.key == second.key) == same
        assert first.scope == make_prompt(kind="k", exact=one, namespace=first.namespace).scope

    return run


def answers_target() -> Target:
    """The input as an envelope, as each codec's data, and as columns of a row."""
    from langchain_semcache.payload import CODEC
    from llamaindex_semcache.payload import CHAT, COMPLETION
    from llamaindex_semcache.responses import RESPONSE
    from semcache_core.codecs import JSON
    from semcache_core.entries.rows import to_entry
    from semcache_core.envelope import seal, unseal
    from semcache_core.errors import PayloadError

    codecs = (JSON, CODEC, CHAT, COMPLETION, RESPONSE)

    def run(data: bytes) -> None:
        try:
            opened = unseal(data)
            assert seal(opened.codec, opened.data) == data
        except PayloadError:
            pass
        for codec in codecs:
            with contextlib.suppress(PayloadError):
                codec.decode(data)
        reader = Reader(data)
        row = [reader.value(3) for _ in range(17)]
        entry = to_entry(row)
        assert entry is None or entry.size >= 0

    return run


TARGETS = {"keys": keys_target, "answers": answers_target}


def seeds() -> list[bytes]:
    """Sound inputs to begin with."""
    from langchain_core.load import dumps
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration

    from semcache_core.envelope import seal

    message = dumps(ChatGeneration(message=AIMessage("hello", tool_calls=[])))
    chat = ["llama_index.core.base.llms.types:ChatResponse", {"message": {"role": "assistant"}}]
    return [
        seal("json", b'{"a": [1, 2.5, null, "text"]}'),
        json.dumps([message]).encode(),
        json.dumps(chat).encode(),
        bytes([10, 2, 3, 97, 98, 99, 4, 1, 120, 8, 2, 1, 97, 1, 98]),
        b"",
    ]


# -- without atheris ----------------------------------------------------------------------------


def mutated(data: bytes, drawn: random.Random, corpus: list[bytes]) -> bytes:
    """The input with a few changes."""
    made = bytearray(data)
    for _ in range(drawn.randint(1, 6)):
        place = drawn.randint(0, len(made))
        kind = drawn.randrange(6)
        if kind == 0 and made:
            made[place % len(made)] ^= 1 << drawn.randrange(8)
        elif kind == 1:
            made[place:place] = drawn.choice(TOKENS)
        elif kind == 2:
            del made[place : place + drawn.randint(1, 8)]
        elif kind == 3:
            made[place:place] = drawn.randbytes(drawn.randint(1, 8))
        elif kind == 4:
            made[place:place] = made[place : place + drawn.randint(1, 40)]
        else:
            other = drawn.choice(corpus)
            made[place:] = other[drawn.randint(0, len(other)) :]
    return bytes(made[:2_000])


def randomly(target: Target, inputs: int, seed: int) -> None:
    """So many inputs; raises what the target raises, after saying the input."""
    drawn, corpus = random.Random(seed), seeds()
    for _ in range(inputs):
        data = mutated(drawn.choice(corpus), drawn, corpus)
        try:
            target(data)
        except BaseException:
            print(f"input: {data!r}", file=sys.stderr)
            raise
        if drawn.random() < 0.01:
            corpus.append(data)
            del corpus[5:-500]


def guided(target: Target, inputs: int, seed: int) -> None:
    """The same with atheris, which ends the process."""
    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", f"-seed={seed or 1}", "-max_len=2000", "-timeout=20"],
        target,
    )
    atheris.Fuzz()


def main() -> None:
    """Run, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--random", action="store_true", help="do without atheris")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    names = list(TARGETS) if options.target == "all" else [options.target]
    each = options.inputs // len(names)
    if atheris is not None and not options.random:
        if len(names) > 1:
            parser.error("atheris ends its process: name one --target, or give --random")
        with atheris.instrument_imports(include=["semcache_core"]):
            guided(TARGETS[names[0]](), each, options.seed)
    for name in names:
        begun = time.perf_counter()
        randomly(TARGETS[name](), each, options.seed)
        print(f"{name}: {each:,} inputs in {time.perf_counter() - begun:.0f} s, no promise broken")


if __name__ == "__main__":
    main()
