"""Train on one's own labelled pairs: what `semcache train` runs."""

from semcache_core.training.trained import Trained, train

__all__ = ["Trained", "train"]
