"""GPTCache with SQLite and FAISS at its defaults, or its exact `map`. Argument: faiss or map."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from _serve import Corpus, Op, Subject, answer, serve


class GPTCache(Subject):
    """`gptcache.adapter.api`, which takes the embedding as a function."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def open(self, corpus: Corpus, folder: Path) -> None:
        os.chdir(folder)  # importing it reads and writes files in the working directory
        self.corpus = corpus
        self._open()
        asked = corpus.texts["stored"][: corpus.count]
        if self._kind == "map":
            for question in asked:
                self._put(question)
        else:
            self.cache.import_data(asked, [answer(question) for question in asked])
            self.cache.flush()

    def _open(self) -> None:
        from gptcache import Cache, Config
        from gptcache.adapter import api
        from gptcache.manager import CacheBase, VectorBase, get_data_manager
        from gptcache.processor.pre import get_prompt
        from gptcache.similarity_evaluation import SearchDistanceEvaluation

        self._api = api
        self.cache = Cache()
        size = 2 * self.corpus.count + 10_000
        if self._kind == "map":
            self.cache.init(
                pre_embedding_func=get_prompt,
                data_manager=get_data_manager(data_path="map.txt", max_size=size),
            )
            return
        self.cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: self.corpus.vector(text),
            data_manager=get_data_manager(
                CacheBase("sqlite", sql_url="sqlite:///gptcache.db"),
                VectorBase("faiss", dimension=384, index_path="faiss.index"),
                max_size=size,
            ),
            similarity_evaluation=SearchDistanceEvaluation(),
            config=Config(similarity_threshold=0.8),
        )

    def reopen(self) -> None:
        if self._kind == "map":
            raise NotImplementedError("reading it back is unpickling")
        self._open()

    def ops(self) -> dict[str, Op]:
        texts, get = self.corpus.texts, self._get
        exact: dict[str, Op] = {
            "exact": lambda i: get(texts["stored"][i]),
            "put": lambda i: self._put(texts["stored"][i]),
        }
        if self._kind == "map":
            return exact
        return exact | {
            "semantic": lambda i: get(texts["paraphrased"][i]),
            "miss": lambda i: get(texts["novel"][i]),
        }

    def _get(self, question: str) -> str:
        return self._api.get(question, cache_obj=self.cache) or ""

    def _put(self, question: str) -> str:
        said = answer(question)
        self._api.put(question, said, cache_obj=self.cache)
        return said

    def close(self) -> None:
        self.cache.flush()


if __name__ == "__main__":
    serve(GPTCache(sys.argv[1]))
