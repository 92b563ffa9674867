"""Runs in GPTCache's environment: its evaluations' scores, a line of JSON a pair.

An evaluation of vectors needs their angle only, so that two vectors with the same cosine stand for
those of MiniLM. FAISS, its default index, gives squared Euclidean distances.
"""

import json
import math
import sys

import numpy as np
from gptcache.similarity_evaluation import (
    ExactMatchEvaluation,
    NumpyNormEvaluation,
    SearchDistanceEvaluation,
)

EVALUATIONS = {
    "distance": SearchDistanceEvaluation(),
    "np": NumpyNormEvaluation(enable_normal=True, question_embedding_function=lambda text: None),
    "exact": ExactMatchEvaluation(),
}


def score(name: str, query: str, stored: str, cosine: float) -> float:
    """The share of its range: what GPTCache compares with `similarity_threshold`."""
    left, right = np.array([1.0, 0.0]), np.array([cosine, math.sqrt(max(0.0, 1 - cosine**2))])
    source = {"question": query, "embedding": left}
    cached = {"question": stored, "embedding": right, "search_result": (2 - 2 * cosine, 0)}
    low, high = EVALUATIONS[name].range()
    return float((EVALUATIONS[name].evaluation(source, cached) - low) / (high - low))


for line in sys.stdin:
    name, query, pairs = json.loads(line)
    print(json.dumps([score(name, query, text, cosine) for text, cosine in pairs]), flush=True)
