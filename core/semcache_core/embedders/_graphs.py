"""The graphs that are open in this process: several caches with one model share one."""

from __future__ import annotations

import threading
from pathlib import Path
from weakref import WeakValueDictionary

from semcache_core.embedders._exported import graph_folder, open_graph
from semcache_core.embedders._graph import Graph
from semcache_core.embedders._model import ModelFolder
from semcache_core.forks import ForkedChild


class Graphs(ForkedChild):
    """Kept as long as somebody uses them. Thread-safe."""

    def __init__(self) -> None:
        self.in_forked_child()
        self.watch_forks()

    def open(self, model: ModelFolder, dtype: str, threads: int | None) -> Graph:
        """The model's graph. Raises what `open_graph` does; threads wait for the first."""
        key = graph_folder(model, dtype), threads
        with self._lock:
            graph = self._open.get(key) or open_graph(model, dtype, threads)
            self._open[key] = graph
        return graph

    def in_forked_child(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[tuple[Path, int | None], Graph] = WeakValueDictionary()


GRAPHS = Graphs()
