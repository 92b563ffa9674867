"""Policies: what turns scores into a decision."""

from semcache_core.policies.factory import make_policy
from semcache_core.policies.margin import MarginPolicy
from semcache_core.policies.threshold import ThresholdPolicy

__all__ = ["MarginPolicy", "ThresholdPolicy", "make_policy"]
