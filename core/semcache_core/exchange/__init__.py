"""Caches as JSON lines, and what other caches left behind."""

from semcache_core.exchange.gptcache import read_gptcache
from semcache_core.exchange.lines import Imported, check_head, export_lines, import_lines
from semcache_core.exchange.pairs import read_pairs

__all__ = [
    "Imported",
    "check_head",
    "export_lines",
    "import_lines",
    "read_gptcache",
    "read_pairs",
]
