"""Everything semcache raises on purpose.

SemcacheError
├── ConfigError (also a ValueError)    an argument or a configuration that cannot work
│   └── IncompatibleError              parts that cannot work together, or with what is on disk
├── MissingDependency (an ImportError) an extra that is not installed
├── EmbedderError                      the embedder failed or returned something unusable
├── EvaluatorError                     an evaluator failed
├── StoreError                         the record or the index failed
│   ├── StoreCorrupt                   a file is damaged
│   ├── StoreReadOnly                  nothing can be written there
│   ├── StoreBusy                      somebody else holds it for too long
│   ├── StoreReplaced                  its file was removed while it was open
│   └── StoreClosed                    used after close()
├── UncacheableError                   a prompt holds something that cannot be compared exactly
├── PayloadError                       a stored answer cannot be read
└── OfflineMiss                        offline mode: the model may not be asked

Errors of the parts are raised at construction; during a lookup or an update the cache logs
and counts them, and the model's call goes through.
"""

from __future__ import annotations


class SemcacheError(Exception):
    """The root of the tree."""


class ConfigError(SemcacheError, ValueError):
    """An argument that cannot work: the message names it, what was given, and what to do."""


class IncompatibleError(ConfigError):
    """Parts that cannot work together, or a path that was written by other parts."""


class MissingDependency(SemcacheError, ImportError):
    """A feature was asked for whose package is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}: pip install 'llm-semcache[{extra}]' "
            f"(in a clone: pip install '.[{extra}]')"
        )


class EmbedderError(SemcacheError):
    """The embedder failed, or returned a wrong shape or numbers that are not finite."""


class EvaluatorError(SemcacheError):
    """An evaluator failed."""

    again = False
    """Whether it only repeats what was raised, and logged, a moment ago."""


class StoreError(SemcacheError):
    """The record or the index failed."""


class StoreCorrupt(StoreError):
    """A file of the store is damaged."""


class StoreReadOnly(StoreError):
    """Nothing can be written there."""


class StoreBusy(StoreError):
    """Somebody else, or too many at once, hold it for longer than a write waits."""


class StoreReplaced(StoreError):
    """The record's file was removed or exchanged while it was open; the one there now is used."""


class StoreClosed(StoreError):
    """The store was used after `close()`."""


class UncacheableError(SemcacheError):
    """A prompt holds something that has no stable form, so it is never cached."""


class PayloadError(SemcacheError):
    """A stored answer cannot be read: unknown version, wrong checksum, unknown codec."""


class OfflineMiss(SemcacheError):
    """Offline mode found no stored answer, and the model may not be asked."""
