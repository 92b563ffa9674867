"""The endpoints whose answers are cached: how each reads requests, and takes answers apart."""

from __future__ import annotations

from semcache_core.server.endpoint import Endpoint
from semcache_core.server.endpoints.chat import Chat
from semcache_core.server.endpoints.completions import Completions
from semcache_core.server.endpoints.embeddings import EMBEDDING
from semcache_core.server.endpoints.responses import Responses
from semcache_core.server.replies import Replies

CHAT = Replies(Chat())
COMPLETION = Replies(Completions())
RESPONSE = Replies(Responses())

__all__ = ["CHAT", "COMPLETION", "EMBEDDING", "RESPONSE", "Endpoint"]
