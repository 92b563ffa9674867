"""A JSON schema of configurations, for editors."""

from __future__ import annotations

from typing import Any

from semcache_core.config._model import Config

_REFERENCE = {"type": "string", "pattern": r"\$\{\w+(:-[^}]*)?\}"}


def schema() -> dict[str, Any]:
    """The schema (draft 2020-12). Every value may be a reference to the environment instead."""
    kinds: dict[str, Any] = Config.model_json_schema(mode="validation")["$defs"]
    for described in kinds.values():
        for name, wanted in described.get("properties", {}).items():
            if name != "kind":
                described["properties"][name] = _or_reference(wanted)
    _with_aliases(kinds["Config"]["properties"])
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "semcache"}
    whole: dict[str, Any] = kinds["Config"] | about | {"$defs": kinds}
    return whole


def _or_reference(wanted: dict[str, Any]) -> dict[str, Any]:
    kinds = wanted.get("anyOf", [wanted])
    if any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
        return wanted
    about = {name: wanted[name] for name in ("description", "default", "title") if name in wanted}
    alone = {name: value for name, value in wanted.items() if name not in about}
    return about | {"anyOf": [*alone.get("anyOf", [alone]), _REFERENCE]}


def _with_aliases(properties: dict[str, Any]) -> None:
    for alias in ("embedding", "embed_model"):
        properties[alias] = properties["embedder"]
