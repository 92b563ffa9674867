"""What a sentence-transformers model is, read from its folder: no framework is imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from semcache_core.embedders._digest import digest_json, digest_weights, remembered
from semcache_core.embedders._window import UNBOUNDED, Window
from semcache_core.errors import ConfigError

_WINDOW_FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""Where sentence-transformers looks for `max_seq_length`, in its order."""
_SHAPE = (
    "model_type",
    "hidden_size",
    "dim",
    "d_model",
    "num_hidden_layers",
    "n_layers",
    "num_attention_heads",
    "n_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "position_embedding_type",
    "max_position_embeddings",
    "rope_theta",
    "vocab_size",
)
"""Of config.json only what changes the vectors: the rest differs between versions that save it."""
_NO_EFFECT = frozenset({"Normalize", "Dropout"})
"""Modules that change no vector: an embedder's vectors are of unit length anyhow."""
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class Module(NamedTuple):
    """One line of modules.json."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class ModelFolder:
    """The files of one model. Raises `ConfigError` for files that cannot be read."""

    path: Path

    @staticmethod
    def holds_model(path: Path) -> bool:
        """Whether the folder is worth trying."""
        return any((path / name).is_file() for name in ("modules.json", "config.json"))

    @cached_property
    def identity(self) -> str:
        """A hash of everything that determines the vectors, the same wherever the model lies."""
        parts = [_part(module) for module in self._modules if module.kind not in _NO_EFFECT]
        return "sentence-transformers:" + digest_json(
            {
                "modules": parts,
                "tokenizer": self._vocabulary,
                "window": self.window_length,
                "prompt": self.prompt,
            }
        )

    @cached_property
    def dimension(self) -> int | None:
        """Length of a vector; None when it can only be found out by embedding."""
        kinds = [module.kind for module in self._modules if module.kind not in _NO_EFFECT]
        if kinds != ["Transformer", "Pooling"]:
            return None
        pooling = _read(self._modules[1].folder / "config.json")
        if len(_pooling_modes(pooling)) > 1:
            return None
        shape = _read(self.path / "config.json")
        names = (pooling.get("embedding_dimension"), pooling.get("word_embedding_dimension"))
        sizes = (shape.get("hidden_size"), shape.get("dim"), shape.get("d_model"))
        return next((size for size in (*names, *sizes) if isinstance(size, int)), None)

    @cached_property
    def window_length(self) -> int | None:
        """Word pieces that the model sees, special ones included."""
        for name in _WINDOW_FILES:
            found = _read(self.path / name).get("max_seq_length")
            if isinstance(found, int):
                return found
        limits = (
            _read(self.path / "tokenizer_config.json").get("model_max_length"),
            _read(self.path / "config.json").get("max_position_embeddings"),
        )
        return min((x for x in limits if isinstance(x, int) and 0 < x < UNBOUNDED), default=None)

    @cached_property
    def window(self) -> Window | None:
        """None when the folder does not show it: then the loaded model has to."""
        file = self.path / "tokenizer.json"
        if self.window_length is None or not file.is_file():
            return None
        return Window.parse(file.read_text(encoding="utf-8"), self.window_length, self.prompt)

    @cached_property
    def prompt(self) -> str:
        """What the model wants in front of every text."""
        config = _read(self.path / "config_sentence_transformers.json")
        prompts = config.get("prompts") or {}
        return str(prompts.get(config.get("default_prompt_name")) or "")

    @cached_property
    def _modules(self) -> tuple[Module, ...]:
        listing = self.path / "modules.json"
        if not listing.is_file():  # a bare transformer: sentence-transformers adds mean pooling
            return Module("Transformer", self.path), Module("Pooling", self.path / "1_Pooling")
        lines = _read(listing, list)
        return tuple(
            Module(str(line["type"]).rpartition(".")[2], self.path / line["path"]) for line in lines
        )

    @property
    def _vocabulary(self) -> Any:
        file = self.path / "tokenizer.json"
        if not file.is_file():
            names = ("vocab.txt", "vocab.json", "merges.txt", "*.model")
            return digest_weights(sorted(p for name in names for p in self.path.glob(name)))
        return remembered("tokenizer", file, _hash_tokenizer)


def _part(module: Module) -> dict[str, Any]:
    config = _read(module.folder / "config.json")
    if module.kind == "Pooling":
        return {"kind": "Pooling", "modes": _pooling_modes(config)}
    if module.kind == "Transformer":
        config = {name: config[name] for name in _SHAPE if name in config}
    return {
        "kind": module.kind,
        "config": config,
        "weights": digest_weights(_weights(module.folder)),
    }


def _hash_tokenizer(path: Path) -> str:
    """Truncation and padding are set anew by whoever loads it."""
    told = _read(path)
    return digest_json({k: v for k, v in told.items() if k not in ("truncation", "padding")})


def _pooling_modes(config: dict[str, Any]) -> list[str]:
    named = config.get("pooling_mode")
    if named:
        return sorted([named] if isinstance(named, str) else named)
    return sorted(mode for flag, mode in _FLAGS.items() if config.get(flag)) or ["mean"]


def _weights(folder: Path) -> list[Path]:
    """The files that would be loaded: safetensors before torch's own format."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def _read(path: Path, kind: type = dict) -> Any:
    if not path.is_file():
        return kind()
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, kind):
        raise ConfigError(f"{path} holds a {type(value).__name__}, not a {kind.__name__}")
    return value
