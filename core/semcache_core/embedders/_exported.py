"""Finds a model's exported graph in the cache folder, or has it made there, once."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from semcache_core.embedders._graph import ABOUT_FILE, Graph
from semcache_core.embedders._home import home, write_atomically
from semcache_core.embedders._model import ModelFolder
from semcache_core.errors import MissingDependency

log = logging.getLogger("semcache")

_LAYOUT = 1
"""Grows when what is exported, or how, changes."""
_REFUSED = 3
_PATIENCE = 900.0
"""Seconds for one export, and for another process that is at it."""
_EXPORTERS = ("torch", "onnx", "onnxruntime", "tokenizers")
_DECIDING = ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime")
"""Packages whose versions decide whether a model can be exported."""


class CannotExport(Exception):
    """There is no graph of this model here, and why."""


def open_graph(model: ModelFolder, dtype: str, threads: int | None = None) -> Graph:
    """The model's graph, made first if need be. Raises `CannotExport`, `MissingDependency`."""
    target = graph_folder(model, dtype)
    try:
        if not _made(target):
            _make(model, target, dtype)
        graph = _opened(target, threads)
        if graph is None:  # damaged, or of a version that onnxruntime no longer reads
            shutil.rmtree(target, ignore_errors=True)
            _make(model, target, dtype)
            graph = _opened(target, threads)
    except OSError as error:
        raise CannotExport(f"{error} (SEMCACHE_HOME names another cache folder)") from error
    if graph is None:
        raise CannotExport("the exported graph cannot be loaded")
    return graph


def check_exporters(model: ModelFolder, dtype: str) -> None:
    """Raises `MissingDependency` when there is neither a graph nor a way to make or do without."""
    installed = importlib.util.find_spec("sentence_transformers") is not None
    if not installed and not _made(graph_folder(model, dtype)):
        raise MissingDependency("Embedding with a local model", "sentence-transformers", "local")


def graph_folder(model: ModelFolder, dtype: str) -> Path:
    """Where the graph is, or will be."""
    name = hashlib.sha256(model.identity.encode()).hexdigest()
    return home() / "onnx" / f"{name}-{dtype}-{_LAYOUT}"


def _made(target: Path) -> bool:
    return (target / ABOUT_FILE).is_file()


def _opened(target: Path, threads: int | None) -> Graph | None:
    try:
        graph = Graph(target, threads)
        return graph if graph.sound() else None
    except Exception as error:  # noqa: BLE001  # whatever is wrong with the files: make them anew
        log.debug("semcache: %s cannot be used: %s", target, error)
        return None


def _make(model: ModelFolder, target: Path, dtype: str) -> None:
    check_exporters(model, dtype)
    _check_packages()
    note = target.with_name(f"{target.name}-{_versions()}.refused")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(target):
        if _made(target):
            return
        if note.is_file():
            raise CannotExport(note.read_text())
        # A warning, since those are shown where nobody set up logging: a first call that is silent
        # for half a minute looks as if it hung.
        log.warning(
            "semcache: the embedding model is made ready, once on this machine; this takes up to "
            "half a minute"
        )
        _sweep(target.parent)
        started = time.monotonic()
        _export(model, target, dtype, note)
        log.info("semcache: exported in %.1f s to %s", time.monotonic() - started, target)


def _check_packages() -> None:
    missing = [name for name in _EXPORTERS if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotExport(f"the export needs the packages {', '.join(missing)}")
    # In a frozen application or an embedded interpreter it is the application itself.
    if "py" not in Path(sys.executable or "").name.lower() or hasattr(sys, "frozen"):
        raise CannotExport(f"the export needs a Python to run, which {sys.executable!r} is not")


def _versions() -> str:
    found = []
    for name in _DECIDING:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name}={metadata.version(name)}")
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:16]


@contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Other processes wait and find the work done; where files cannot be locked they repeat it."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{target}.lock", timeout=_PATIENCE)
    try:
        lock.acquire()
    except Timeout as error:
        raise CannotExport(f"another process has been exporting for {_PATIENCE:g} s") from error
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _export(model: ModelFolder, target: Path, dtype: str, note: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    try:
        done = _run(model.path, work, dtype)
        if done.returncode == 0:
            _put(work, target)
            return
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        if done.returncode == _REFUSED:
            write_atomically(note, said[-1].encode())
        raise CannotExport(said[-1])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """What killed exporters left, of which none can still be at work."""
    for left in folder.glob("making-*"):
        if time.time() - left.stat().st_mtime > 2 * _PATIENCE:
            shutil.rmtree(left, ignore_errors=True)


def _run(folder: Path, work: Path, dtype: str) -> subprocess.CompletedProcess[str]:
    module = "semcache_core.embedders._export"
    command = [sys.executable, "-m", module, str(folder.absolute()), str(work.absolute()), dtype]
    # The child must find what this process found, however that was told where to look, and nothing
    # else that lies in the current folder.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = os.environ | {"PYTHONPATH": path}
    try:
        return subprocess.run(  # noqa: S603  # this Python, this package, no shell
            command,
            env=environment,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.SubprocessError as error:
        raise CannotExport(f"the export did not end: {error}") from error


def _put(work: Path, target: Path) -> None:
    try:
        work.rename(target)
    except OSError:
        if not _made(target):  # if it is: somebody whom no lock could stop was faster
            raise
