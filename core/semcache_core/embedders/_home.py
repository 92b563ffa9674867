"""The user's cache folder: what can be made again, such as exported models and file digests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """`SEMCACHE_HOME`, or the platform's cache folder; it need not exist yet."""
    chosen = os.environ.get("SEMCACHE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("semcache", appauthor=False))


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the whole file or none, also when several processes write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
