"""Which part of a prompt is its question: readers for prompts of any shape, to be joined by `|`.

Both frameworks take one as `question=`. What a reader leaves out of the question still has to
match exactly, unless `dropped="ignore"` says that it does not matter. System prompts, tool
messages, tool calls, images and files are never left out.
"""

from semcache_core.prompts.draft import Draft, Said
from semcache_core.prompts.images import SimilarImages
from semcache_core.prompts.models import Condensed, Summarised
from semcache_core.prompts.parts import Without, WithoutTemplate
from semcache_core.prompts.selected import Selected
from semcache_core.prompts.shape import Narrowed, Pipeline, Shape
from semcache_core.prompts.turns import AllContent, LastMessage, LastTurns

__all__ = [
    "AllContent",
    "Condensed",
    "Draft",
    "LastMessage",
    "LastTurns",
    "Narrowed",
    "Pipeline",
    "Said",
    "Selected",
    "Shape",
    "SimilarImages",
    "Summarised",
    "Without",
    "WithoutTemplate",
]
