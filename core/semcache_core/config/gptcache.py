"""GPTCache's YAML (`init_similar_cache_from_config`, 0.1.44) in our words, item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from semcache_core.config._loading import load
from semcache_core.config._messages import suggestion
from semcache_core.config._reading import read_file
from semcache_core.errors import ConfigError
from semcache_core.evaluators import RECOMMENDED_FLOOR

Verdict = Literal["taken", "changed", "not needed", "refused"]


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one item."""

    item: str
    verdict: Verdict
    why: str


@dataclass
class Translation:
    """Our settings, and a note for each of theirs."""

    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    scores: str = "distance"
    """Whose scores its threshold is on."""

    @property
    def refused(self) -> list[Note]:
        return [note for note in self.notes if note.verdict == "refused"]

    def say(self, item: str, verdict: Verdict, why: str, **settings: Any) -> None:
        """Add a note, and the settings that it is about, if a cache would take them."""
        try:
            load(settings, environment=_Everything())
        except ConfigError as error:
            self.notes.append(Note(item, "refused", str(error)))
            return
        self.notes.append(Note(item, verdict, why))
        self.settings.update(settings)


class _Everything(dict[str, str]):
    """An environment in which every variable is set: what they hold is not known here."""

    def get(self, key: str, default: Any = None) -> Any:
        return "x"


def translate_file(path: Path) -> Translation:
    """Read a file as plain values and translate it; raises `ConfigError` for what is no YAML."""
    return translate(read_file(path).data)


def translate(theirs: Mapping[str, Any]) -> Translation:
    """Each item is taken, changed, not needed, or refused with what to do instead."""
    made = Translation()
    names = {"model_source": "embedding", "model_config": "embedding_config"}
    given = {names.get(name, name): value for name, value in theirs.items()}
    given = {("evaluation_config" if k == "evaluation_kws" else k): v for k, v in given.items()}
    for name in given.keys() - _ITEMS.keys() - _BESIDE:
        made.say(name, "refused", f"GPTCache has no such key; {suggestion(name, _ITEMS)}")
    for name in [one for one in _ITEMS if one in given]:
        try:
            beside = _mapping(f"{name}_config", given.get(f"{name}_config"))
            _ITEMS[name](made, given[name], beside)
        except ConfigError as error:
            made.say(name, "refused", str(error))
        except (TypeError, ValueError, AttributeError):
            made.say(name, "refused", f"{given[name]!r} is not what GPTCache has here")
    return made


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: {value!r} was given; GPTCache has a mapping here")
    return dict(value)


def _embedding(made: Translation, name: Any, settings: dict[str, Any]) -> None:
    model = settings.get("model")
    kind = str(name).lower()
    if kind == "sbert":
        made.say("embedding", "taken", "the same model", embedder=model or "all-MiniLM-L6-v2")
    elif kind == "huggingface" and model:
        why = "loaded as a sentence-transformers model, whose pooling goes before GPTCache's mean"
        made.say("embedding", "changed", why, embedder=model)
    elif kind == "onnx":
        why = "GPTCache's own ALBERT is replaced by all-MiniLM-L6-v2, which is smaller and better"
        made.say("embedding", "changed", why, embedder="all-MiniLM-L6-v2")
    elif kind in ("openai", "cohere", "langchain"):
        why = (
            "an embedder with a client is an object: from_config(..., embedding=OpenAIEmbeddings())"
        )
        made.say("embedding", "refused", why)
    else:
        why = f"{name!r} has no counterpart here; any callable of texts is an embedder (embedder=)"
        made.say("embedding", "refused", why)


def _storage(made: Translation, value: Any, _: dict[str, Any]) -> None:
    settings = _mapping("storage_config", value)
    manager = str(settings.pop("manager", "sqlite,faiss")).lower().split(",")
    folder = settings.pop("data_dir", None) or "gptcache_data"
    if not isinstance(folder, str):
        raise ConfigError("storage_config.data_dir: GPTCache has a folder's name here")
    _record(made, manager[0].strip(), f"{folder}-semcache", settings)
    if len(manager) > 1:
        _vectors(made, manager[1].strip(), _mapping("vector_params", settings.get("vector_params")))
    if len(manager) > 2 and manager[2].strip():
        why = "answers with files are kept in the record itself"
        made.say("storage_config.manager: objects", "not needed", why)
    for name in settings.keys() & {"max_size", "clean_size", "eviction", "eviction_params"}:
        _evicting(made, name, settings[name])
    left = settings.keys() - {"vector_params", "scalar_params", "max_size", "eviction"}
    for name in sorted(left - {"clean_size", "eviction_params"}):
        made.say(f"storage_config.{name}", "refused", "this has no counterpart here")


def _record(made: Translation, scalar: str, folder: str, settings: dict[str, Any]) -> None:
    url = _mapping("scalar_params", settings.get("scalar_params")).get("sql_url")
    if scalar in ("map", "sqlite", "duckdb"):
        why = "a new folder: the file formats differ; `semcache import` brings the answers over"
        made.say("storage_config.data_dir", "changed", why, path=folder)
    elif scalar in ("postgresql", "mysql", "mariadb", "sqlserver", "oracle") and url:
        made.say("storage_config.scalar_params", "taken", "tables of our own", entries=_open(url))
    else:
        url = "mysql+pymysql" if scalar in ("mysql", "mariadb") else "postgresql+psycopg"
        why = f"the record {scalar!r} is given as a URL: entries: {url}://..."
        made.say("storage_config.manager", "refused", why)


def _open(url: str) -> str:
    """A URL without its password: that comes from the environment."""
    parts = urlsplit(str(url))
    if not parts.password:
        return str(url)
    at = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:${{SEMCACHE_DB_PASSWORD}}@{at}"))


def _vectors(made: Translation, name: str, settings: dict[str, Any]) -> None:
    host = settings.get("client_settings") or settings.get("host")
    if name == "chromadb" and isinstance(host, str):
        url = f"http://{host}:{settings.get('port', 8000)}"
        made.say("storage_config.vector_params", "taken", "the same server", url=url)
        return
    why = f"{name} is replaced: vectors are made from the record, and kept beside it"
    made.say("storage_config.manager: vectors", "not needed", why)
    if settings.get("top_k"):
        made.say("vector_params.top_k", "taken", "candidates looked at", top_k=settings["top_k"])


def _evicting(made: Translation, name: str, value: Any) -> None:
    rules = {"LRU": "lru", "LFU": "lfu", "FIFO": "fifo", "RR": "random"}
    item = f"storage_config.{name}"
    if name == "max_size":
        made.say(item, "taken", "counts entries, of all kinds", max_entries=value)
    elif name == "eviction" and str(value).upper() in rules:
        made.say(item, "taken", "the same rule", eviction=rules[str(value).upper()])
    else:
        made.say(item, "not needed", "eviction takes what has to go")


def _evaluation(made: Translation, name: Any, settings: dict[str, Any]) -> None:
    kind = str(name).lower()
    for known, (verdict, why, part) in _EVALUATIONS.items():
        if known in kind:
            evaluator = part(settings) if part is not None else None
            made.say("evaluation", verdict, why, **({"evaluator": evaluator} if evaluator else {}))
            inner = settings.get("evaluation", "distance") if known == "time" else known
            made.scores = str(inner).lower()
            return
    made.say("evaluation", "refused", f"GPTCache has no evaluation {name!r}")


def _guarded(evaluator: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda _: {"kind": "guarded", "guards": "core", "evaluator": evaluator}


def _aged(settings: dict[str, Any]) -> dict[str, Any]:
    inner = Translation()
    _evaluation(
        inner, settings.get("evaluation", "distance"), settings.get("evaluation_config", {})
    )
    kept = inner.settings.get("evaluator", "default")
    age = {"kind": "time", "max_age": settings.get("time_range", 86_400)}
    return {"kind": "all-of", "evaluators": [kept, age]}


def _weights(settings: dict[str, Any]) -> dict[str, Any]:
    given = sorted(settings.get("weights") or (), reverse=True)
    return {"kind": "sequence"} | ({"weights": given} if given else {})


_GUARDS = "with guards against near misses in front of it"
_EVALUATIONS: dict[str, tuple[Verdict, str, Callable[[dict[str, Any]], Any] | None]] = {
    "distance": ("changed", f"as cosine similarity, {_GUARDS}", _guarded("cosine")),
    "np": ("changed", f"as cosine similarity, {_GUARDS}", _guarded("cosine")),
    "exact": ("taken", "equal words", lambda _: "exact"),
    "onnx": ("changed", "its ALBERT always scores 0 in 0.1.44; the verifier replaces it", None),
    "kreciprocal": (
        "refused",
        "its distances are of another scale; evaluator: k-reciprocal scores by the cosine",
        None,
    ),
    "cohere": (
        "taken",
        "the key comes from the environment",
        lambda settings: (
            {"kind": "cohere", "model": settings.get("model", "rerank-v3.5")}
            | {"api_key": "${CO_API_KEY}"}
        ),
    ),
    "sequence_match": ("taken", "weights, the newest turn's first", _weights),
    "time": ("changed", "too old is a miss", _aged),
    "sbert_crossencoder": (
        "taken",
        "asked in the grey zone of cosines only",
        lambda settings: (
            {"kind": "cross-encoder"}
            | ({"model": settings["model"]} if settings.get("model") else {})
        ),
    ),
}


def _config(made: Translation, value: Any, _: dict[str, Any]) -> None:
    for name, setting in _mapping("config", value).items():
        item = f"config.{name}"
        if name == "similarity_threshold":
            _threshold(made, item, setting)
        elif name in _UNNEEDED:
            made.say(item, "not needed", _UNNEEDED[name])
        elif name in _IN_CODE:
            made.say(item, "refused", _IN_CODE[name])
        else:
            made.say(item, "refused", "GPTCache has no such setting")


def _threshold(made: Translation, item: str, value: Any) -> None:
    """GPTCache: 4 - d^2 >= 4 t for "distance", 2 - d >= 2 t for "np"; d^2 = 2 - 2 cos."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{item}: {value!r} was given; GPTCache has a number from 0 to 1")
    evaluation = made.scores
    if evaluation not in ("distance", "np"):
        made.say(item, "taken", "on the same kind of score", threshold=float(value))
        return
    cosine = 2 * value - 1 if evaluation == "distance" else 1 - 2 * (1 - value) ** 2
    cosine = round(max(cosine, 0.0), 4)
    why = f"{value:g} of {evaluation} is a cosine of {cosine:g}"
    if cosine < RECOMMENDED_FLOOR:
        why += f"; nothing below {RECOMMENDED_FLOOR:g} is looked at here, as half of it is false"
    evaluator = made.settings.get("evaluator") or _guarded("cosine")({})
    made.say(item, "changed", why, threshold=cosine, evaluator=evaluator)


def _pre(made: Translation, value: Any, _: dict[str, Any]) -> None:
    plain = {"get_prompt", "last_content", "get_messages_last_content", "all_content"}
    if str(value) in plain | {"nop", "get_inputs", "get_input_str"}:
        why = "the frameworks' prompts are read as they are; what is not the question must match"
        made.say("pre_function", "not needed", why)
    else:
        why = f"{value}: question= of the cache's class names the question in a prompt"
        made.say("pre_function", "refused", why)


def _pre_context(made: Translation, value: Any, _: dict[str, Any]) -> None:
    why = f"{value}: conversation= and question= of the cache's class do this"
    made.say("pre_context_function", "refused", why)


def _post(made: Translation, value: Any, _: dict[str, Any]) -> None:
    names = {"first": "first", "random_one": "random", "temperature_softmax": "softmax"}
    if str(value) in names:
        made.say("post_function", "taken", "the same choice", post_process=names[value])
    else:
        made.say(
            "post_function", "refused", f"{value}: a function is given as post_process= in code"
        )


_UNNEEDED = {
    "auto_flush": "each answer is committed when it is stored",
    "enable_token_counter": "tokens are read off the answers",
    "data_check": "questions are never changed",
    "disable_report": "statistics cost no writing",
}
_IN_CODE = {
    "log_time_func": "stats() has the times, and OpenTelemetry takes them",
    "prompts": "question= of the cache's class names the question in a prompt",
    "template": "question=(template, variable) of the cache's class does this",
    "input_summary_len": "question= of the cache's class takes a function that shortens",
    "context_len": "conversation= of the cache's class compares earlier turns",
    "skip_list": "conversation= of the cache's class compares earlier turns",
}
_ITEMS: dict[str, Callable[[Translation, Any, dict[str, Any]], None]] = {
    "embedding": _embedding,
    "storage_config": _storage,
    "evaluation": _evaluation,
    "pre_function": _pre,
    "pre_context_function": _pre_context,
    "post_function": _post,
    "config": _config,  # after "evaluation", whose scores the threshold is on
}
_BESIDE = {"embedding_config", "evaluation_config", "pre_context_config"}
