"""GPTCache's YAML, item by item: taken, changed, not needed, or refused with a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.cache import SemanticCache
from semcache_core.config import load
from semcache_core.config.gptcache import Translation, translate, translate_file
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError


def verdicts(made: Translation) -> dict[str, str]:
    """What became of each item."""
    return {note.item: note.verdict for note in made.notes}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"embedding": "sbert"}, {"embedder": "all-MiniLM-L6-v2"}),
        ({"model_source": "sbert", "model_config": {"model": "m"}}, {"embedder": "m"}),
        ({"embedding": "onnx"}, {"embedder": "all-MiniLM-L6-v2"}),
        ({"embedding": "huggingface", "embedding_config": {"model": "m"}}, {"embedder": "m"}),
        ({"storage_config": {"data_dir": "d"}}, {"path": "d-semcache"}),
        ({"storage_config": {"manager": "map", "data_dir": "d"}}, {"path": "d-semcache"}),
        (
            {"storage_config": {"max_size": 5, "eviction": "RR"}},
            {"max_entries": 5, "eviction": "random"},
        ),
        ({"storage_config": {"vector_params": {"top_k": 4}}}, {"top_k": 4}),
        (
            {"storage_config": {"manager": "sqlite,chromadb", "vector_params": {"host": "h"}}},
            {"url": "http://h:8000"},
        ),
        ({"evaluation": "exact"}, {"evaluator": "exact"}),
        ({"evaluation": "sbert_crossencoder"}, {"evaluator": {"kind": "cross-encoder"}}),
        (
            {"evaluation": "sequence_match", "evaluation_config": {"weights": [0.1, 0.9]}},
            {"evaluator": {"kind": "sequence", "weights": [0.9, 0.1]}},
        ),
        ({"post_function": "temperature_softmax"}, {"post_process": "softmax"}),
        ({"config": {"similarity_threshold": 0.9}}, {"threshold": 0.8}),
        ({"evaluation": "np", "config": {"similarity_threshold": 0.9}}, {"threshold": 0.98}),
        ({"evaluation": "exact", "config": {"similarity_threshold": 0.9}}, {"threshold": 0.9}),
    ],
)
def test_an_item_becomes_a_setting(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Of the same meaning, which a cache takes."""
    made = translate(theirs)
    assert ours.items() <= made.settings.items()
    assert made.refused == []
    load(made.settings, environment={})


def test_passwords_and_keys_are_left_to_the_environment() -> None:
    """Nothing secret comes out of the translation."""
    made = translate(
        {
            "storage_config": {
                "manager": "postgresql,faiss",
                "scalar_params": {"sql_url": "postgresql://u:hunter2@h:1/d"},
            },
            "evaluation": "cohere",
            "evaluation_config": {"api_key": "hunter2"},
        }
    )
    assert "hunter2" not in str(made)
    assert made.settings["entries"] == "postgresql://u:${SEMCACHE_DB_PASSWORD}@h:1/d"
    assert made.settings["evaluator"]["api_key"] == "${CO_API_KEY}"


@pytest.mark.parametrize(
    ("theirs", "item"),
    [
        ({"embeding": "sbert"}, "embeding"),
        ({"embedding": "rwkv"}, "embedding"),
        ({"embedding": "openai"}, "embedding"),
        ({"evaluation": "kreciprocal"}, "evaluation"),
        ({"evaluation": "unheard of"}, "evaluation"),
        ({"pre_function": "get_image"}, "pre_function"),
        ({"pre_context_function": "summarization"}, "pre_context_function"),
        ({"post_function": "nop"}, "post_function"),
        ({"config": {"log_time_func": "f"}}, "config.log_time_func"),
        ({"config": {"unheard": 1}}, "config.unheard"),
        ({"config": {"similarity_threshold": 7}}, "config"),
        ({"config": [1]}, "config"),
        ({"storage_config": {"manager": "redis,faiss"}}, "storage_config.manager"),
        ({"storage_config": {"max_size": -1}}, "storage_config.max_size"),
        ({"storage_config": {"object_params": {}}}, "storage_config.object_params"),
        ({"storage_config": {"data_dir": 7}}, "storage_config"),
        ({"evaluation": "time", "evaluation_config": {"time_range": -1}}, "evaluation"),
        ({"evaluation": "sequence_match", "evaluation_config": {"weights": 7}}, "evaluation"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_a_reason(
    theirs: dict[str, Any], item: str
) -> None:
    """By its own name, and the rest goes on."""
    made = translate(theirs | {"pre_context_config": {}})
    assert verdicts(made)[item] == "refused"
    assert all(note.why for note in made.notes)
    load(made.settings, environment={})


def test_what_is_not_needed_is_said() -> None:
    """So that nobody looks for it."""
    made = translate(
        {
            "storage_config": {"manager": "sqlite,faiss,local", "clean_size": 2, "data_dir": "d"},
            "pre_function": "last_content",
            "config": {"auto_flush": 1, "data_check": True},
        }
    )
    said = verdicts(made)
    assert said["storage_config.manager: vectors"] == "not needed"
    assert said["storage_config.manager: objects"] == "not needed"
    assert said["storage_config.clean_size"] == "not needed"
    assert said["pre_function"] == said["config.auto_flush"] == "not needed"


def test_a_whole_file_makes_a_cache(tmp_path: Path) -> None:
    """The evaluator inside the one for age keeps its threshold."""
    (tmp_path / "g.yaml").write_text(
        "evaluation: time\nevaluation_config: {evaluation: distance, time_range: 60}\n"
        "config: {similarity_threshold: 0.85}\n"
    )
    made = translate_file(tmp_path / "g.yaml")
    with SemanticCache.from_config(made.settings, embedder=HashEmbedder()) as cache:
        cache.put("what is the capital of france", "Paris")
        assert cache.get("what is the capital of france?") == "Paris"
    assert made.settings["threshold"] == 0.7
    (tmp_path / "bad.yaml").write_text("a: !!python/name:os.system\n")
    with pytest.raises(ConfigError, match="plain values"):
        translate_file(tmp_path / "bad.yaml")


NAMES = ["embedding", "embedding_config", "model", "storage_config", "manager", "data_dir"]
NAMES += ["max_size", "eviction", "vector_params", "scalar_params", "sql_url", "host", "port"]
NAMES += ["top_k", "evaluation", "evaluation_config", "weights", "time_range", "config"]
NAMES += ["similarity_threshold", "pre_function", "post_function", "pre_context_function", "foo"]
WORDS = ["sbert", "huggingface", "sqlite,faiss", "postgresql,chromadb", "a,b,c,d", "", "distance"]
WORDS += ["time", "cohere", "sequence_match", "LRU", "first", "postgresql://u:p@[::1/x"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS)


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.recursive(
            PLAIN,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
            ),
            max_leaves=15,
        ),
        max_size=6,
    )
)
def test_any_file_is_translated_or_refused(theirs: dict[str, Any]) -> None:
    """Nothing raises, and what comes out is a configuration."""
    made = translate(theirs)
    load(made.settings, environment={"CO_API_KEY": "x", "SEMCACHE_DB_PASSWORD": "x"})
