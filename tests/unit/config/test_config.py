"""Configurations: every key and part by name, and every mistake told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from langchain_semcache import SemanticCache as LangChainCache
from llamaindex_semcache import SemanticCache as LlamaIndexCache
from semcache_core.cache import SemanticCache
from semcache_core.config import Config, load, schema
from semcache_core.config._evaluators import KINDS
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError, IncompatibleError, SemcacheError
from semcache_core.policies import Calibration, WeighedPolicy

GOOD: dict[str, Any] = {
    "path": "cache",
    "entries": "sqlite:///${FOLDER}/other.sqlite3",
    "url": "http://chroma:8000",
    "url_headers": {"Authorization": "Bearer ${FOLDER}"},
    "url_timeout": "5s",
    "url_verify": False,
    "index": "scan",
    "embedder": "all-MiniLM-L6-v2",
    "threshold": 0.9,
    "max_false_hit_rate": 0.05,
    "confidence": 0.9,
    "evaluator": "cosine",
    "policy": "margin",
    "judge": "json",
    "namespace": "tenant-a",
    "top_k": 3,
    "post_process": "softmax",
    "softmax_temperature": 0.1,
    "coalesce": "semantic",
    "shadow": True,
    "temperature": "skip",
    "answers": 2,
    "seed": 7,
    "next_cache": {"namespace": "below"},
    "ttl": "12h",
    "max_entries": 10,
    "max_bytes": "5MB",
    "max_entry_bytes": "1MB",
    "eviction": "lfu",
    "hot": 5,
    "poll": 0.1,
    "scan_limit": 20,
    "on_corrupt": "move",
    "prices": {"gpt-4o": 5, "*": 1.5},
    "conversation": "sequence",
    "turns": {"tool_calls": "exact"},
    "server": {"port": 8080},
}
"""A value that works, for each key."""
TOGETHER = {
    "softmax_temperature": {"post_process": "softmax"},
    "max_false_hit_rate": {},
    "confidence": {"max_false_hit_rate": 0.05},
    "url": {},
}
OTHER_KINDS: tuple[Any, ...] = (object(), [], {"x": 1}, float("nan"), -1, "no such thing", True)


@pytest.mark.parametrize("key", [key for key in GOOD if not key.startswith("url")])
def test_every_key_works_alone(key: str, tmp_path: Path) -> None:
    """Each setting makes a cache, in the class that takes it."""
    kind = LangChainCache if key in ("conversation", "turns") else SemanticCache
    file = tmp_path / "cache.yaml"
    file.write_text(yaml.safe_dump({key: GOOD[key]} | TOGETHER.get(key, {})))
    environment = {"FOLDER": str(tmp_path)}
    with load(file, environment=environment).make(kind) as cache:
        assert isinstance(cache, kind)


def test_a_servers_settings_are_handed_on() -> None:
    """To a class that then asks the server."""
    wanted = {key: GOOD[key] for key in GOOD if key.startswith("url")}
    given = load(wanted, environment={"FOLDER": "t"}).arguments()
    assert given["url_headers"] == {"Authorization": "Bearer t"}
    assert (given["url_timeout"], given["url_verify"]) == (5.0, False)


def test_no_key_is_left_out() -> None:
    """A key that is added is tested here too."""
    assert set(Config.model_fields) == GOOD.keys()


def test_keys_are_the_arguments_of_the_classes() -> None:
    """What code calls an argument, a configuration calls so."""
    from semcache_core.arguments import _storage_names, taken_by

    arguments = taken_by(SemanticCache) | taken_by(LangChainCache) | _storage_names()
    objects = {"table", "question", "when", "cacheable", "embedding"}
    assert set(Config.model_fields) - {"server"} == arguments - objects


@pytest.mark.parametrize("value", OTHER_KINDS, ids=repr)
@pytest.mark.parametrize("key", GOOD)
def test_every_key_refuses_what_it_cannot_take(key: str, value: Any) -> None:
    """A wrong value either works or is refused by a sentence that names the key."""
    try:
        load({key: value}, environment={}).arguments()
    except ConfigError as error:
        assert key in str(error)
    except SemcacheError as error:  # a part's own complaint
        assert str(error)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("path: a\ntreshold: 1\n", 2, "did you mean 'threshold'"),
        ("threshold: high\n", 1, "give a number"),
        ("threshold: 2\n", 1, "less than or equal to 1"),
        ("threshold: yes\n", 1, "give a number"),
        ("\n\nmax_false_hit_rate: 0\n", 3, "greater than 0"),
        ("evaluator: cosin\n", 1, "did you mean 'cosine'"),
        ("evaluator:\n  kind: bm25\n  k2: 1\n", 3, "k1"),
        ("evaluator:\n  kind: guarded\n  evaluator: [1]\n", 3, "mapping"),
        ("evaluator: {}\n", 1, "kind"),
        ("policy: verifed\n", 1, "did you mean 'verified'"),
        ("policy:\n  kind: calibrated\n", 1, "max_false_hit_rate"),
        ("policy:\n  kind: threshold\n  by_namespace:\n    a: 3\n", 4, "by_namespace.a"),
        ("turns:\n  tool_calls: always\n", 2, "semantic, exact, off"),
        ("next_cache:\n  pth: x\n", 2, "did you mean 'path'"),
        ("max_bytes: 1 XB\n", 1, "GB"),
        ("ttl: -1d\n", 1, "give a number"),
        ("namespace: 7\n", 1, "quotes"),
        ("coalesce: perhaps\n", 1, "'semantic'"),
        ("path: a\npath: b\n", 2, "second time"),
        ("a: &x 1\nb: *x\n", 2, "anchors"),
        ("path: [\n", 2, "not YAML"),
        ("path: !!python/name:os.system\n", 1, "plain values"),
        ("1: x\n", 1, "a key is a text"),
        ("entries: postgresql://u:secret@h/d\n", 1, "${NAME}"),
        ("evaluator:\n  kind: cohere\n  api_key: secret\n", 3, "${NAME}"),
        ("entries: postgresql://u:${NO_SUCH}@h/d\n", 1, "NO_SUCH is not set"),
        ("embedder:\n  dtype: int4\n", 2, "float32"),
        ("embedder:\n  kind: onyx\n", 1, "the kind 'onyx' was given; give one of onnx"),
        ("threshold: 1\npath: ''\n", 2, "folder"),
        ("storage_config: {}\n", 1, "from-gptcache"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    """The file, the line, the key, what was given and what can be given."""
    file = tmp_path / "cache.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environment={}).arguments()
    message = str(caught.value)
    assert f"{file}:{line}" in message
    assert said in message
    assert "secret" not in message.replace("a secret", "")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One run shows them all."""
    file = tmp_path / "cache.yaml"
    file.write_text("treshold: 1\nttl: never\ntop_k: 0\n")
    with pytest.raises(ConfigError) as caught:
        load(file, environment={})
    assert all(f"{file}:{line}: " in str(caught.value) for line in (1, 2, 3))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*GOOD, "kind", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_value_is_taken_or_refused_by_a_sentence(value: Any) -> None:
    """Nothing but `ConfigError` comes out, whatever is put in."""
    try:
        load(value if isinstance(value, dict) else {"evaluator": value}, environment={})
    except ConfigError as error:
        assert str(error)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Texts that are no YAML are `ConfigError` too."""
    from semcache_core.config._reading import read_text

    try:
        assert isinstance(read_text(text, "cache.yaml").data, dict)
    except ConfigError as error:
        assert "cache.yaml" in str(error)


def test_nesting_does_not_take_minutes() -> None:
    """PyYAML's time grows with the square of the depth; it is stopped long before."""
    from semcache_core.config._reading import read_text

    with pytest.raises(ConfigError, match="nested too deeply"):
        read_text("[" * 200_000, "cache.yaml")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model_fields["kind"].annotation)
def test_every_evaluator_is_made_by_name(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own settings where it needs any; its kind alone where it does not."""
    name = kind.model_fields["kind"].annotation.__args__[0]
    monkeypatch.setenv("A_KEY", "k")
    needs: dict[str, Any] = {
        "cohere": {"api_key": "${A_KEY}"},
        "time": {"half_life": "1d"},
        "all-of": {"evaluators": ["cosine", "bm25"]},
        "any-of": {"evaluators": ["cosine", "exact"]},
        "weighted": {"evaluators": ["cosine", "l2"], "weights": [3, 1]},
        "required": {"evaluator": "cosine", "minimum": 0.5},
        "guarded": {"evaluator": "cosine", "guards": "off"},
        "cascade": {
            "stages": [{"evaluator": "cosine", "low": 0.2, "high": 0.9}, {"evaluator": "l2"}]
        },
    }
    made = load({"evaluator": {"kind": name} | needs.get(name, {})}).arguments()["evaluator"]
    assert callable(made.score)
    if name not in needs:
        assert load({"evaluator": name}).arguments()["evaluator"].name == made.name


def test_a_wrong_evaluator_combination_is_a_config_error() -> None:
    """What the parts themselves refuse is refused here."""
    wrong = {"kind": "weighted", "evaluators": ["cosine"], "weights": [1, 2]}
    with pytest.raises(ConfigError, match="weights"):
        load({"evaluator": wrong}).arguments()


@pytest.mark.parametrize(
    "judge", ["equal", "json", "similar", {"kind": "first", "judges": ["equal"]}]
)
def test_every_judge_is_made_by_name(judge: Any) -> None:
    """The embedder of one that needs it is the cache's."""
    made = load({"judge": judge}, {"embedder": HashEmbedder()}).arguments()["judge"]
    assert callable(made.same)


@pytest.mark.parametrize(
    "policy",
    [
        {"kind": "threshold", "threshold": 0.8, "by_namespace": {"a": 0.9}},
        {"kind": "margin", "floor": 0.7},
        {"kind": "calibrated", "max_false_hit_rate": 0.1, "audit_rate": 0.1},
        {"kind": "verified", "max_false_hit_rate": 0.1, "seed": 3},
    ],
)
def test_every_policy_is_made_with_settings(policy: dict[str, Any]) -> None:
    """And serves the cache it is given to."""
    with SemanticCache.from_config({"policy": policy}, embedder=HashEmbedder()) as cache:
        cache.put("What is it?", "It.")
        assert cache.get("What is it?") == "It."


def test_a_saved_calibration_is_a_policy(tmp_path: Path) -> None:
    """`semcache calibrate -o policy.json`, then the configuration beside it names the file."""
    saved = json.loads(Calibration(0.1, 0.95, 100, threshold=0.87).to_json())
    embedder = HashEmbedder()
    from semcache_core.embedders import make_embedder

    saved["scores_of"] = {"evaluator": "cosine", "embedder": make_embedder(embedder).identity}
    (tmp_path / "policy.json").write_text(json.dumps(saved))
    (tmp_path / "cache.yaml").write_text(
        "evaluator: cosine\npolicy: {kind: saved, file: policy.json}\n"
    )
    made = load(tmp_path / "cache.yaml", {"embedder": embedder}).arguments()
    assert made["policy"].threshold == 0.87
    (tmp_path / "cache.yaml").write_text("policy: {kind: saved, file: policy.json}\n")
    with pytest.raises(IncompatibleError, match="calibrate anew"):
        load(tmp_path / "cache.yaml", {"embedder": embedder}).arguments()


def test_a_saved_calibration_may_have_weights(tmp_path: Path) -> None:
    """Then they make the policy; half of them are none."""
    saved = json.loads(Calibration(0.1, 0.95, 100, threshold=0.87).to_json())
    weights = {"intercept": -5.0, "cosine": 6.0, "gap": 0.5, "score": 2.0}
    settings = {"policy": {"kind": "saved", "file": str(tmp_path / "p.json"), "floor": 0.7}}
    (tmp_path / "p.json").write_text(json.dumps(saved | {"weights": weights}))
    made = load(settings, {"embedder": HashEmbedder()}).arguments()["policy"]
    assert made == WeighedPolicy(0.87, (-5.0, 6.0, 0.5, 2.0), 0.7)
    (tmp_path / "p.json").write_text(json.dumps(saved | {"weights": {"cosine": 6.0}}))
    with pytest.raises(ConfigError, match=r"p\.json.*weights"):
        load(settings, {"embedder": HashEmbedder()}).arguments()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"x": 1}', '{"scores_of": 3}'])
def test_a_file_that_is_no_calibration_is_named(text: str, tmp_path: Path) -> None:
    """A policy's file is checked as the rest is."""
    (tmp_path / "p.json").write_text(text)
    settings = {"policy": {"kind": "saved", "file": str(tmp_path / "p.json")}}
    with pytest.raises(ConfigError, match=r"p\.json"):
        load(settings, {"embedder": HashEmbedder()}).arguments()


def test_an_uncertified_calibration_is_refused(tmp_path: Path) -> None:
    """Nothing was certified, so nothing may be served by it."""
    (tmp_path / "p.json").write_text(Calibration(0.01, 0.95, 3, needed=200).to_json())
    with pytest.raises(ConfigError, match="200 more"):
        load({"policy": {"kind": "saved", "file": str(tmp_path / "p.json")}}).arguments()


def test_overrides_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    """Code decides last."""
    file = tmp_path / "cache.yaml"
    file.write_text("threshold: 0.5\ntop_k: 2\nttl: 60\nseed: 1\n")
    env = {"SEMCACHE_TOP_K": "3", "SEMCACHE_SEED": "4", "SEMCACHE_EMBEDDER__DTYPE": "int8"}
    config = load(file, {"seed": 5, "ttl": None}, env).config
    assert (config.threshold, config.top_k, config.seed, config.ttl) == (0.5, 3, 5, None)
    assert config.embedder is not None
    assert config.embedder.dtype == "int8"  # type: ignore[union-attr]  # the default kind


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEMCACHE_CONFIG names the file; without it there are the variables."""
    monkeypatch.setenv("SEMCACHE_NAMESPACE", "env")
    with SemanticCache.from_config(embedder=HashEmbedder()) as cache:
        assert cache.running_namespace() == "env"
    (tmp_path / "c.yaml").write_text("threshold: 7\n")
    monkeypatch.setenv("SEMCACHE_CONFIG", str(tmp_path / "c.yaml"))
    with pytest.raises(ConfigError, match=r"c\.yaml:1"):
        SemanticCache.from_config()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SEMCACHE_TRESHOLD", "1", "did you mean 'threshold'"),
        ("SEMCACHE_THRESHOLD", "high", "environment variable SEMCACHE_THRESHOLD"),
        ("SEMCACHE_EMBEDDER__DTYPE", "int4", "SEMCACHE_EMBEDDER__DTYPE"),
        ("SEMCACHE_EVALUATOR", "[1", "evaluator"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, said: str) -> None:
    """As a line of a file would be."""
    with pytest.raises(ConfigError, match=r"environment|give") as caught:
        load({}, environment={variable: value})
    assert said in str(caught.value)


def test_what_is_not_ours_in_the_environment_is_left_alone() -> None:
    """Kubernetes sets such variables for a service called semcache."""
    env = {"SEMCACHE_PORT": "tcp://10.0.0.1:80", "SEMCACHE_SERVICE_HOST": "10.0.0.1"}
    assert load({}, environment=env).config.model_fields_set == set()


def test_secrets_are_references_and_stay_out_of_what_is_shown() -> None:
    """They are filled in for the parts only; defaults after `:-` are allowed."""
    env = {"DB_PASSWORD": "hunter2", "SEMCACHE_URL": "http://chroma:8000"}
    settings = {"entries": "postgresql://u:${DB_PASSWORD}@${HOST:-db}/x"}
    loaded = load(settings, environment=env)
    assert loaded.place() == "postgresql://u:hunter2@db/x"
    assert "hunter2" not in f"{loaded.config!r}{loaded.shown()}"
    assert loaded.shown()["entries"] == settings["entries"]


def test_a_secret_in_the_environment_is_where_it_belongs() -> None:
    """A whole URL may come from there, and is not shown."""
    loaded = load({}, environment={"SEMCACHE_ENTRIES": "postgresql://u:hunter2@db/x"})
    assert loaded.place() == "postgresql://u:hunter2@db/x"
    assert "hunter2" not in str(loaded.shown())


@pytest.mark.parametrize("kind", [SemanticCache, LangChainCache, LlamaIndexCache])
def test_paths_start_from_the_configuration(kind: Any, tmp_path: Path) -> None:
    """The same file means the same cache wherever it is read from, in every class."""
    (tmp_path / "deploy").mkdir()
    file = tmp_path / "deploy" / "cache.json"
    file.write_text('{\n\t"path": "../cache", "next_cache": {"path": "below"}}')
    override = {kind.embedder_argument: HashEmbedder()}
    with kind.from_config(file, **override) as cache:
        cache.put("What is it?", "It.")
        assert type(cache) is kind
    assert (tmp_path / "cache" / "entries.sqlite3").is_file()
    assert (tmp_path / "deploy" / "below" / "entries.sqlite3").is_file()


@pytest.mark.parametrize("word", ["embedder", "embedding", "embed_model"])
def test_the_embedder_has_the_frameworks_names_too(word: str) -> None:
    """But only one of them at a time."""
    loaded = load({word: "all-MiniLM-L6-v2"}, environment={})
    assert loaded.config.embedder is not None
    with pytest.raises(ConfigError, match="same setting"):
        load({"embedding": "x", "embed_model": "y"}, environment={})


def test_langchains_settings_are_refused_elsewhere() -> None:
    """With a word on where they belong."""
    with pytest.raises(ConfigError, match="LangChain"):
        SemanticCache.from_config({"turns": {}})


@pytest.mark.parametrize("source", [7, b"x", ["path"], "no/such/file.yaml", ""])
def test_a_source_that_is_none_is_refused(source: Any) -> None:
    """Neither a file nor a mapping."""
    with pytest.raises(ConfigError):
        load(source)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Too large, a folder, no text, broken JSON with its line."""
    (tmp_path / "large.yaml").write_text("#" * 1_000_001)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\x00")
    (tmp_path / "bad.json").write_text('{\n"path": }')
    for name, said in {"large.yaml": "too many", "bytes.yaml": "UTF-8", "bad.json": ":2"}.items():
        with pytest.raises(ConfigError, match=said):
            load(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_the_schema_agrees_with_the_configuration() -> None:
    """What one takes the other takes; editors say what the cache would."""
    described = schema()
    jsonschema.Draft202012Validator.check_schema(described)
    validator = jsonschema.Draft202012Validator(described)
    assert [error.message for error in validator.iter_errors(GOOD)] == []
    assert validator.is_valid({"threshold": "${THRESHOLD}", "max_entries": "${MOST:-5}"})
    for wrong in (
        {"treshold": 1},
        {"threshold": 2},
        {"evaluator": "cosin"},
        {"evaluator": {"kind": "bm25", "k2": 1}},
        {"next_cache": {"pth": "x"}},
        {"coalesce": "perhaps"},
        {"turns": {"question": 1}},
    ):
        assert not validator.is_valid(wrong), wrong


@pytest.mark.parametrize("kind", [SemanticCache, LangChainCache, LlamaIndexCache])
@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("treshold", 0.9, "did you mean 'threshold'"),
        ("max_entrys", 5, "did you mean 'max_entries'"),
        ("zzz", 5, "it takes"),
        ("max_bytes", "1 XB", "GB"),
        ("max_bytes", [], "max_bytes"),
        ("max_entries", "many", "whole number"),
        ("max_entries", 1.5, "whole number"),
        ("ttl", "soon", "ttl"),
        ("ttl", True, "ttl"),
        ("evaluator", "cosine", "Evaluator"),
        ("judge", 3, "Judge"),
        ("shadow", "yes", "True or False"),
        ("seed", "x", "seed"),
        ("answers", True, "answers"),
        ("clock", 3, "clock"),
        ("scan_limit", -1, "scan_limit"),
        ("on_corrupt", "delete", "'move'"),
        ("url", 3, "url"),
        ("table", 3, "table"),
        ("poll", float("nan"), "poll"),
        ("prices", {"gpt": -1}, "prices"),
        ("prices", 3, "prices"),
    ],
)
def test_constructors_refuse_by_name(kind: Any, argument: str, value: Any, said: str) -> None:
    """The classes say the same as configurations do."""
    with pytest.raises(ConfigError, match=argument) as caught:
        kind(**{argument: value})
    assert said in str(caught.value)


@pytest.mark.parametrize("path", ["a\0b", "", 3, b"bytes"])
def test_constructors_refuse_what_is_no_path(path: Any) -> None:
    """A null character is refused before any file is touched."""
    with pytest.raises(ConfigError, match="path"):
        SemanticCache(path)


def test_constructors_take_amounts_as_people_write_them() -> None:
    """The same texts as configurations."""
    with SemanticCache(embedder=HashEmbedder(), max_bytes="1.5 MB", ttl="2h") as cache:
        cache.put("What is it?", "It.")
        assert cache.get("What is it?") == "It."


def test_each_framework_names_its_word_for_the_embedder() -> None:
    """Instead of Python's complaint about two values."""
    for kind, word in {LangChainCache: "embedding", LlamaIndexCache: "embed_model"}.items():
        with pytest.raises(ConfigError, match=word):
            kind(embedder=HashEmbedder())
