"""Policies: what turns scores into a decision."""

from semcache_core.policies.calibrated import CalibratedPolicy
from semcache_core.policies.calibration import Calibration, calibrate
from semcache_core.policies.factory import make_policy
from semcache_core.policies.margin import MarginPolicy
from semcache_core.policies.threshold import ThresholdPolicy
from semcache_core.policies.verified import VerifiedPolicy
from semcache_core.policies.weighed import WEIGHTS, WeighedPolicy, calibrate_ranked, weights_from

__all__ = [
    "WEIGHTS",
    "CalibratedPolicy",
    "Calibration",
    "MarginPolicy",
    "ThresholdPolicy",
    "VerifiedPolicy",
    "WeighedPolicy",
    "calibrate",
    "calibrate_ranked",
    "make_policy",
    "weights_from",
]
