"""Policies: what turns scores into a decision."""

from semcache_core.policies.calibrated import CalibratedPolicy
from semcache_core.policies.calibration import Calibration, calibrate
from semcache_core.policies.factory import make_policy
from semcache_core.policies.margin import MarginPolicy
from semcache_core.policies.threshold import ThresholdPolicy
from semcache_core.policies.verified import VerifiedPolicy

__all__ = [
    "CalibratedPolicy",
    "Calibration",
    "MarginPolicy",
    "ThresholdPolicy",
    "VerifiedPolicy",
    "calibrate",
    "make_policy",
]
