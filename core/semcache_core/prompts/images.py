"""Images that are nearly the same count as the same one, by the vectors of a CLIP-like model.

A message's images are part of what must match exactly, by their content: a photograph that was
scaled or saved anew is another one. `SimilarImages` puts in an image's place the first image that
was seen of its like. Rejected: one vector for question and image together, in which a different
image is outweighed by an equal question.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from semcache_core.errors import ConfigError, EmbedderError, MissingDependency
from semcache_core.keys import digest, sha256
from semcache_core.lru import LRU
from semcache_core.models import Entry, Vector
from semcache_core.prompts.draft import Draft, Said
from semcache_core.prompts.shape import Shape
from semcache_core.store import Store, open_store

log = logging.getLogger("semcache")

_DATA = ("data", "base64", "image", "bytes", "url", "image_url", "source")
_NOISE = ("mime_type", "media_type", "image_mimetype", "source_type")


@dataclass(frozen=True, slots=True)
class SimilarImages(Shape):
    """Reads images by meaning: one that resembles an image seen before counts as that one.

    `model` is the name or folder of a CLIP-like sentence-transformers model, a loaded one, or
    whatever has an `encode` that takes a list of PIL images and returns one vector each.
    `threshold` is a cosine in (0, 1], between an image and the first of its like; the one to take
    depends on the model, so measure it on images of your own. `path` is a folder for the vectors
    of known images; without it they are forgotten with the process, and a later one misses.
    Images behind a URL count by their address. Raises `ConfigError`.
    """

    model: Any = field(default="clip-ViT-B-32", repr=False)
    threshold: float = 0.98
    path: str | os.PathLike[str] | None = field(default=None, repr=False)
    _known: KnownImages = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not number or not 0 < self.threshold <= 1:
            raise ConfigError(
                f"SimilarImages: threshold={self.threshold!r} was given; give a cosine in (0, 1]"
            )
        if not isinstance(self.model, str | os.PathLike) and not hasattr(self.model, "encode"):
            raise ConfigError(
                f"SimilarImages: model={self.model!r} was given; give the name or folder of a "
                "sentence-transformers model, or an object with encode(images)"
            )
        known = KnownImages(ImageModel(self.model), float(self.threshold), self.path)
        object.__setattr__(self, "_known", known)

    @property
    def slow(self) -> bool:
        return True

    def __call__(self, draft: Draft) -> Draft:
        try:
            said = tuple(replace(one, rest=self._named(one)) for one in draft.said)
        except Exception as error:  # noqa: BLE001  # the images' own bytes still tell them apart
            log.warning("semcache: images could not be compared: %r", error)
            return draft
        return replace(draft, said=said)

    def close(self) -> None:
        """Release the files of `path`; the next image opens them again."""
        self._known.close()

    def _named(self, said: Said) -> Any:
        return None if said.rest is None else named(said.rest, self._known.name)


def named(value: Any, name: Any) -> Any:
    """The same structure with `name(bytes)` in the place of every image that is in it."""
    if isinstance(value, Mapping):
        image = content_of(value)
        if image is not None:
            rest = {k: v for k, v in value.items() if k not in (*_DATA, *_NOISE)}
            return {**rest, "image": name(image)}
        return {key: named(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named(item, name) for item in value]
    return value


def content_of(block: Mapping[str, Any]) -> bytes | None:
    """The bytes of an image block in any of the providers' forms; None: it is not one."""
    kind = str(block.get("type") or block.get("block_type") or "")
    return _bytes(block) if "image" in kind else None


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, Mapping):
        found = (_bytes(value[key]) for key in _DATA if key in value)
        return next((one for one in found if one is not None), None)
    if isinstance(value, bytes | bytearray):
        return _decoded(bytes(value)) or bytes(value)
    if isinstance(value, str) and value.startswith("data:"):
        return _decoded(value.partition(",")[2].encode())
    if isinstance(value, str) and "://" not in value:
        return _decoded(value.encode())
    return None


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


class ImageModel:
    """Images to unit vectors; the model is loaded when the first one comes."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """The model's name; a loaded one has the name of its class."""
        named = isinstance(self._model, str | os.PathLike)
        return f"images:{self._model if named else type(self._model).__qualname__}"

    def vector(self, image: bytes) -> Vector:
        """Raises `EmbedderError` for what is no image and for vectors that cannot be used."""
        with self._lock:  # image processors are not made to be shared
            found = np.asarray(self._loaded().encode([_opened(image)]), dtype=np.float32)
        length = float(np.linalg.norm(found)) if found.ndim == 2 and len(found) == 1 else 0.0
        if not np.isfinite(length) or length == 0:
            raise EmbedderError(f"the image model returned {found.shape} for one image")
        vector: Vector = found[0] / np.float32(length)
        return vector

    def _loaded(self) -> Any:
        if isinstance(self._model, str | os.PathLike):
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise MissingDependency(
                    "SimilarImages", "sentence-transformers", "local"
                ) from error
            self._model = SentenceTransformer(os.fspath(self._model))
        return self._model


def _opened(image: bytes) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency("SimilarImages", "pillow", "images") from error
    try:
        return Image.open(io.BytesIO(image)).convert("RGB")
    except Exception as error:
        raise EmbedderError(f"an image could not be read: {error}") from error


class KnownImages:
    """The first image of each likeness, kept in a store as answers are."""

    def __init__(self, model: ImageModel, threshold: float, path: Any) -> None:
        self._model, self._threshold, self._path = model, threshold, path
        self._names: LRU[str, str] = LRU(4096)
        self._lock = threading.Lock()
        self._store: Store | None = None

    def name(self, image: bytes) -> str:
        """The digest of the first image like this one; two threads agree on it."""
        own = sha256(image)
        if (known := self._names.get(own)) is not None:
            return known
        with self._lock:
            found = self._found(own, self._model.vector(image))
        self._names.put(own, found)
        return found

    def close(self) -> None:
        """Release the store's files."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None

    def _found(self, own: str, vector: Vector) -> str:
        store, scope = self._opened(vector), digest("images", self._model.identity)
        near: Sequence[Any] = store.nearest(scope, vector, 1, self._threshold)
        if near:
            return str(near[0].entry.key)
        entry = Entry(own, scope, "", b"", time.time(), query=None, vector=vector)
        store.put([entry])
        return own

    def _opened(self, vector: Vector) -> Store:
        if self._store is None:
            kind = _Kind(self._model.identity, len(vector))
            self._store = open_store(self._path, embedder=kind)  # type: ignore[arg-type]  # it asks for these two
        return self._store


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a store wants to know of an embedder."""

    identity: str
    dimension: int
