"""What a configuration may say: one key for each argument of `SemanticCache`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from semcache_core.config._embedders import EmbedderPart
from semcache_core.config._evaluators import EvaluatorPart
from semcache_core.config._judges import JudgePart
from semcache_core.config._part import Strict
from semcache_core.config._policies import PolicyPart
from semcache_core.config._values import (
    Bytes,
    Count,
    Folder,
    Integer,
    NotNegative,
    Seconds,
    Share,
    Text,
    Unit,
    Whole,
)
from semcache_core.expiry import Rule


def _switch(value: Any) -> Any:
    """What YAML calls true and false, as environment variables spell it."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    words |= {"1": True, "0": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _coalescing(value: Any) -> Any:
    value = _switch(value)
    if value is True or value is False or value == "semantic":
        return value
    raise ValueError("give true, false or 'semantic'")


Mode = Annotated[
    Literal["semantic", "exact", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
]


class TurnModes(Strict):
    """How each kind of turn is cached (`Turns`)."""

    question: Mode = "semantic"
    tools_offered: Mode = "semantic"
    tool_calls: Mode = "off"
    forced_tool: Mode = "exact"
    after_tools: Mode = "exact"
    react: Mode = "exact"


class Config(Strict):
    """A cache in words. Whatever is an object in code stays code: give it as an override."""

    path: Folder | None = None
    """The cache's folder; without it and `entries` all is in memory. Relative to this file."""
    entries: Annotated[Text | None, Field(repr=False)] = None
    """The record's database, as an SQLAlchemy URL; the password by reference: ${PASSWORD}."""
    url: Annotated[Text | None, Field(repr=False)] = None
    """A Chroma server for the vectors, as http(s)://host:port."""
    url_headers: Annotated[dict[str, Text] | None, Field(repr=False)] = None
    """Sent to that server; keys by reference: {Authorization: "Bearer ${CHROMA_TOKEN}"}."""
    url_timeout: Seconds | None = None
    """Seconds without a word from it after which it counts as failed."""
    url_verify: bool | Text | None = None
    """Whether its certificate is checked, or the file of the authority that signed it."""
    index: Literal["scan"] | None = None
    """"scan": no index on disk."""
    embedder: EmbedderPart | None = None
    """A model's name or folder, or its kind and settings."""
    threshold: Unit | None = None
    """How sure a hit must be, on the evaluator's score."""
    max_false_hit_rate: Share | None = None
    """Instead of a threshold: the share of hits that may be false."""
    confidence: Share | None = None
    """How sure it must be that the budget is kept."""
    evaluator: EvaluatorPart | None = None
    """What scores candidates."""
    policy: PolicyPart | None = None
    """What turns scores into a decision."""
    judge: JudgePart | None = None
    """What says whether two answers are the same, for policies that learn."""
    namespace: Text = ""
    """The tenant."""
    top_k: Count = 5
    """How many candidates are looked at."""
    post_process: Literal["first", "random", "softmax"] | None = None
    """Which acceptable candidate is served."""
    softmax_temperature: NotNegative | None = None
    """How evenly post_process: softmax draws; 0 draws the best."""
    coalesce: Annotated[bool | Literal["semantic"], BeforeValidator(_coalescing)] = True
    """Whether identical (or similar) prompts in flight wait for one call."""
    shadow: Annotated[StrictBool, BeforeValidator(_switch)] = False
    """Serve nothing, and count what would have been served."""
    temperature: Literal["ignore", "skip", "sample"] = "ignore"
    """What a request's temperature does."""
    answers: Count = 1
    """How many answers of one prompt are kept."""
    seed: Integer = 0
    next_cache: Config | None = None
    """Looked into after a miss."""
    ttl: Seconds | None = None
    """Seconds an answer may be served; also "12h", "7d"."""
    max_entries: Count | None = None
    max_bytes: Bytes | None = None
    max_entry_bytes: Bytes | None = 16 * 1024 * 1024
    """Also "500MB", "2GiB"."""
    eviction: Rule = "lru"
    """Who goes first when it is full."""
    hot: Whole = 10_000
    """Entries kept in this process's memory."""
    poll: NotNegative = 0.5
    """Seconds after which other processes' changes are seen."""
    scan_limit: Whole | None = None
    """Entries of a scope up to which it is scanned in memory."""
    on_corrupt: Literal["raise", "move"] = "raise"
    """What is done with a damaged SQLite file."""
    prices: dict[str, NotNegative] | None = None
    """Of a million tokens, by model; "*" is any other."""
    conversation: Literal["exact", "sequence"] | None = None
    """LangChain's class: how earlier turns match."""
    turns: TurnModes | None = None
    """LangChain's class: which turns are cached, and how."""
    server: dict[str, Any] | None = None
    """Settings of `semcache serve`, which caches do not read."""
