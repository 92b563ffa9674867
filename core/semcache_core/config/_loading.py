"""From a file, a dict, the environment and arguments to a checked configuration."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from semcache_core.arguments import taken_by
from semcache_core.config import _embedders, _evaluators, _judges, _policies
from semcache_core.config._messages import sentences, suggestion
from semcache_core.config._model import Config, TurnModes
from semcache_core.config._part import Building
from semcache_core.config._reading import Place, Text, read_file
from semcache_core.config._secrets import expanded, is_secret
from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluators import default_evaluator
from semcache_core.evaluators._base import identity, recommended

log = logging.getLogger("semcache")

PREFIX = "SEMCACHE_"
_OTHERS = ("SEMCACHE_CONFIG", "SEMCACHE_DATA")
_ALIASES = {"embedding": "embedder", "embed_model": "embedder"}
_LANGCHAIN = {"conversation", "turns"}
_PLAIN = (str, int, float, Mapping, list)
_GPTCACHE = {"storage_config", "embedding_config", "evaluation_config", "pre_function"}
_GPTCACHE |= {"post_function", "pre_context_function", "model_source", "evaluation"}

_PARTS: tuple[tuple[type[BaseModel], ...], ...] = (
    _embedders.KINDS,
    _evaluators.KINDS,
    _policies.KINDS,
    _judges.KINDS,
)
_MODELS: dict[str, type[BaseModel]] = {
    kind.model_fields["kind"].annotation.__args__[0]: kind  # type: ignore[union-attr]  # a Literal
    for kinds in _PARTS
    for kind in kinds
} | {"": Config, "next_cache": Config, "turns": TurnModes, "stages": _evaluators.Stage}


class Configurable(Protocol):
    """A cache's class, as far as a configuration needs to know it."""

    embedder_argument: ClassVar[str]
    """What its constructor calls the embedder."""

    def __init__(self, **arguments: Any) -> None: ...


C = TypeVar("C", bound=Configurable)


@dataclass
class _Draft:
    """A configuration on its way: as it is shown in messages, and with its secrets filled in."""

    shown: dict[str, Any]
    where: dict[Place, str]
    values: dict[str, Any] = field(default_factory=dict, repr=False)

    def rename(self) -> None:
        """The frameworks' own words for the embedder."""
        for alias in _ALIASES.keys() & self.shown.keys():
            name = _ALIASES[alias]
            if name in self.shown:
                raise ConfigError(f"{alias} and {name} are the same setting: give one of them")
            self.shown[name] = self.shown.pop(alias)
            for place in [one for one in self.where if one[:1] == (alias,)]:
                renamed: Place = (name, *place[1:])
                self.where[renamed] = self.where[place]

    def expand(self, env: Mapping[str, str]) -> None:
        """Before anything else is added: only files and mappings hold references."""
        self.values = expanded(self.shown, env, self.name)

    def override(self, found: Mapping[Place, tuple[Any, str]]) -> None:
        """By what environment variables say."""
        for place, (value, variable) in found.items():
            _put(self.shown, place, f"${{{variable}}}" if _may_be_secret(place) else value)
            _put(self.values, place, value)
            self.where[place] = f"environment variable {variable}"

    def apply(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Take over those that are plain values; returns the others."""
        objects: dict[str, Any] = {}
        for given, override in overrides.items():
            name, value = _ALIASES.get(given, given), override
            for place in [one for one in self.where if one[:1] == (name,)]:
                del self.where[place]
            for data in (self.shown, self.values):
                data.pop(name, None)
            if name == "path" and isinstance(value, str | os.PathLike):
                value = _from_here(os.fspath(value))
            if name in Config.model_fields and isinstance(value, _PLAIN):
                self.shown[name] = self.values[name] = value
            elif value is not None:
                objects[name] = value
        return objects

    def checked(self) -> Config:
        """Raises `ConfigError` with a line for each finding."""
        try:
            return Config.model_validate(self.values)
        except ValidationError as error:
            found = sentences(error, self.shown, _MODELS, self.name)
        raise ConfigError("\n".join(found))

    def name(self, place: Place) -> str:
        """A setting as messages call it: "cache.yaml:3: evaluator.k1"."""
        path = ".".join(map(str, place)) or "the configuration"
        outer = (place[:n] for n in range(len(place), -1, -1))
        line = next((self.where[one] for one in outer if one in self.where), "")
        return f"{line}: {path}" if line else path


def _may_be_secret(place: Place) -> bool:
    return place[-1] in ("entries", "url") or is_secret(str(place[-1]))


def _put(data: dict[str, Any], place: Place, value: Any) -> None:
    for key in place[:-1]:
        inside = data.get(str(key))
        data[str(key)] = data = dict(inside) if isinstance(inside, Mapping) else {}
    data[str(place[-1])] = value


def _from_here(path: str) -> str:
    """What code names is relative to where it runs, and not to a configuration's folder."""
    return path if "\0" in path else str(Path(path).expanduser().absolute())


@dataclass(frozen=True)
class Loaded:
    """A checked configuration; `arguments` makes of it what a cache's class takes."""

    config: Config
    folder: Path = field(default_factory=Path)
    objects: Mapping[str, Any] = field(default_factory=dict)
    """Overrides that are no plain values."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """The settings before references to the environment were filled in."""

    def arguments(self) -> dict[str, Any]:
        """The arguments of `SemanticCache`, by the core's names.

        `next_cache` stays a `Loaded`: of which class it is to be, the caller knows. Raises
        `ConfigError`, and what the parts' own constructors raise.
        """
        config, made = self.config, lru_cache(maxsize=1)(self._embedder)
        building = Building(embedder=made, folder=self.folder)
        given = {name: getattr(config, name) for name in config.model_fields_set}
        given.pop("server", None)
        for name in ("evaluator", "judge", "policy"):
            if not isinstance(value := given.get(name), str | None):
                if name == "policy":
                    self._scored_by(building, given.get("evaluator"))
                given[name] = value.build(building)
        if isinstance(config.path, str):
            given["path"] = building.path(config.path)
        if config.next_cache is not None:
            given["next_cache"] = Loaded(config.next_cache, self.folder)
        if config.turns is not None:
            given["turns"] = _turns(config.turns)
        if config.embedder is not None or made.cache_info().currsize:
            given["embedder"] = made()  # the one that the parts were built with
        return {k: v for k, v in given.items() if v is not None} | dict(self.objects)

    def shown(self) -> dict[str, Any]:
        """What is set, as it was written: secrets stay references."""
        return dict(self.written)

    def place(self) -> str | None:
        """The folder or the database URL of the record; None if it is in memory."""
        path = self.config.path
        return self.config.entries or (path and Building(make_embedder, self.folder).path(path))

    def make(self, kind: type[C]) -> C:
        """The cache, of this class. Raises what the class raises."""
        given = self.arguments()
        if foreign := _LANGCHAIN & given.keys() - taken_by(kind):
            raise ConfigError(
                f"{min(foreign)}: this setting is for LangChain's SemanticCache; with LlamaIndex "
                "it is an argument of cached(llm, cache, ...)"
            )
        if "embedder" in given:
            given[kind.embedder_argument] = given.pop("embedder")
        if isinstance(given.get("next_cache"), Loaded):
            given["next_cache"] = given["next_cache"].make(kind)
        return kind(**given)

    def _scored_by(self, building: Building, evaluator: Any) -> None:
        """Tell policies of the evaluator, unless the cache's class makes it."""
        made = self.objects.get("evaluator", evaluator)
        if made is None and self.config.conversation == "sequence":
            return
        scorer = made or default_evaluator(make_embedder(None))
        building.evaluator, building.threshold = identity(scorer), recommended(scorer)

    def _embedder(self) -> Any:
        if "embedder" in self.objects:
            return make_embedder(self.objects["embedder"])
        part = self.config.embedder
        building = Building(embedder=lambda: make_embedder(None), folder=self.folder)
        return make_embedder(None if part is None else part.build(building))


def _turns(modes: TurnModes) -> Any:
    from semcache_core.turns import Turns

    return Turns(**modes.given())


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Check a configuration and what overrides it.

    `source`: a YAML or JSON file, a mapping, or None: the file that SEMCACHE_CONFIG names, if any.
    Environment variables go before it: SEMCACHE_THRESHOLD=0.9, and with two underscores one level
    down, SEMCACHE_EMBEDDER__MODEL. `overrides` go before all; what is no plain value among them
    (an embedder, a callable) is handed on as it is, and None restores the default.

    Raises `ConfigError` that names each line and key, what was given and what can be given.
    """
    env = os.environ if environment is None else environment
    read, folder = _read(source, env)
    draft = _Draft(dict(read.data), dict(read.where))
    draft.rename()
    if _GPTCACHE & draft.shown.keys():
        raise ConfigError(
            f"{draft.where.get((), 'the configuration')}: this is GPTCache's; `semcache config "
            "from-gptcache FILE` translates it"
        )
    draft.expand(env)
    draft.override(_from_environment(env))
    objects = draft.apply(overrides or {})
    return Loaded(draft.checked(), folder, objects, draft.shown)


def _read(source: Any, env: Mapping[str, str]) -> tuple[Text, Path]:
    named = env.get("SEMCACHE_CONFIG") or None if source is None else source
    if named is None:
        return Text({}), Path()
    if isinstance(named, Mapping):
        return Text(_plain(named)), Path()
    if isinstance(named, str | os.PathLike):
        path = Path(named).expanduser()
        return read_file(path), path.parent
    raise ConfigError(f"config: {named!r} was given; give a file's name or a mapping")


def _plain(given: Mapping[Any, Any]) -> dict[str, Any]:
    odd = [key for key in given if not isinstance(key, str)]
    if odd:
        raise ConfigError(f"config: the key {odd[0]!r} is no text")
    return dict(given)


def _from_environment(env: Mapping[str, str]) -> dict[Place, tuple[Any, str]]:
    """Values by place, each with its variable.

    What only looks like one of ours is left alone: Kubernetes sets SEMCACHE_PORT for a service of
    that name.
    """
    found: dict[Place, tuple[Any, str]] = {}
    for variable in sorted(name for name in env if name.startswith(PREFIX)):
        place = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        top = _ALIASES.get(place[0], place[0])
        if top in Config.model_fields:
            inside: Place = (top, *place[1:])
            found[inside] = _scalar(env[variable]), variable
        elif variable not in _OTHERS:
            hint = suggestion(top, Config.model_fields)
            if hint.startswith("did"):
                raise ConfigError(f"environment variable {variable}: no such setting; {hint}")
            log.debug("semcache: the environment variable %s is no setting", variable)
    return found


def _scalar(text: str) -> Any:
    """A text stays one, but for lists and mappings; pydantic reads numbers out of texts."""
    if text[:1] in "[{" and text:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text
