"""How good a cache's hits are, on labelled questions: what `semcache evaluate` runs."""

from semcache_core.evaluation.calibrating import CertifiedThreshold, calibrate
from semcache_core.evaluation.examples import Asked, Examples, Pair, read_examples
from semcache_core.evaluation.gate import check_traps
from semcache_core.evaluation.measuring import evaluate
from semcache_core.evaluation.plotting import draw
from semcache_core.evaluation.recorded import evaluate_labels
from semcache_core.evaluation.report import Mistake, Report
from semcache_core.evaluation.shares import Point, Share, curve, recall_at
from semcache_core.evaluation.traps import traps

__all__ = [
    "Asked",
    "CertifiedThreshold",
    "Examples",
    "Mistake",
    "Pair",
    "Point",
    "Report",
    "Share",
    "calibrate",
    "check_traps",
    "curve",
    "draw",
    "evaluate",
    "evaluate_labels",
    "read_examples",
    "recall_at",
    "traps",
]
