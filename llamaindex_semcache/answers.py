"""What a response is to the cache: worth keeping, how dear it was, and how it is streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_semcache.payload import MARK
from semcache_core.models import Hit

Response = ChatResponse | CompletionResponse
R = TypeVar("R", ChatResponse, CompletionResponse)

_CUT_SHORT = {"length", "max_tokens", "model_length", "max_output_tokens", "incomplete"}
_FILTERED = {"content_filter", "refusal", "safety", "content_filtered", "blocklist", "recitation"}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_PIECES = 32  # chunks of a replay; more make long answers slower to replay and look no different
_WORDS = re.compile(r"\S+\s*|\s+")


def text_of(answer: Response) -> str:
    """The text a user reads."""
    return answer.text if isinstance(answer, CompletionResponse) else answer.message.content or ""


def calls_tools(answer: Response) -> bool:
    """Whether the answer asks for a tool, in a block or in the extras that providers use."""
    if isinstance(answer, CompletionResponse):
        return False
    extras = answer.message.additional_kwargs
    return bool(extras.get("tool_calls") or extras.get("function_call")) or any(
        isinstance(block, ToolCallBlock) for block in answer.message.blocks
    )


def unfit(answer: Response) -> str:
    """Why this answer must not be stored; empty if it may."""
    ended = str(finish_reason(answer) or "").lower()
    if ended in _CUT_SHORT:
        return "cut short"
    if ended in _FILTERED:
        return "filtered or refused"
    return "empty answer" if _empty(answer) else ""


def _empty(answer: Response) -> bool:
    if text_of(answer).strip() or calls_tools(answer):
        return False
    blocks = answer.message.blocks if isinstance(answer, ChatResponse) else []
    return all(isinstance(block, TextBlock | ThinkingBlock) for block in blocks)


def finish_reason(answer: Response) -> Any:
    """Why the model stopped, wherever the provider says so; None if it does not."""
    places = [answer.additional_kwargs, answer.raw]
    if isinstance(answer, ChatResponse):
        places.insert(0, answer.message.additional_kwargs)
    for place in places:
        for name in ("finish_reason", "stop_reason", "done_reason"):
            if (found := _get(place, name)) is not None:
                return found
        choices = _get(place, "choices")
        if choices and (found := _get(choices[0], "finish_reason")) is not None:
            return found
    return None


def tokens(answer: Response) -> int:
    """Tokens that the model spent on this answer; 0 when it does not say."""
    message = getattr(answer, "message", None)
    extras = message.additional_kwargs if message else {}
    for usage in (answer.additional_kwargs, _get(answer.raw, "usage"), extras.get("usage")):
        if total := _get(usage, "total_tokens"):
            return int(total)
        if spent := _get(usage, "input_tokens"):
            return int(spent) + int(_get(usage, "output_tokens") or 0)
    return 0


def _get(place: Any, name: str) -> Any:
    return place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)


def marked(answer: R, hit: Hit) -> R:
    """A served answer says so; what it cost goes into the mark, since it was spent only once."""
    extras = answer.additional_kwargs
    usage = {name: extras.pop(name) for name in _COUNTS if name in extras}
    extras[MARK] = hit.mark | {"usage": usage}
    return answer


# -- streams ---------------------------------------------------------------------------------------


def copied(chunk: R) -> R:
    """A chunk that may be changed; the provider's raw object is shared."""
    changed: dict[str, Any] = {"additional_kwargs": dict(chunk.additional_kwargs)}
    if isinstance(chunk, ChatResponse):
        changed["message"] = chunk.message.model_copy(deep=True)
    return chunk.model_copy(update=changed)


def joined_chat(chunks: Sequence[ChatResponse]) -> ChatResponse:
    """The whole answer: the last chunk, made complete where the provider's last one is not."""
    if not chunks:
        raise ValueError("the stream was empty")
    last = max(chunks, key=_fullness) if not _fullness(chunks[-1]) else chunks[-1]
    message = last.message
    said = "".join(chunk.delta or "" for chunk in chunks)
    if said and len(message.content or "") < len(said) and _only_text(message):
        message = message.model_copy(update={"blocks": [TextBlock(text=said)]})
    return _whole(chunks, last).model_copy(update={"message": message})


def joined_completion(chunks: Sequence[CompletionResponse]) -> CompletionResponse:
    """As `joined_chat`."""
    if not chunks:
        raise ValueError("the stream was empty")
    said = "".join(chunk.delta or "" for chunk in chunks)
    last = chunks[-1]
    text = said if len(last.text) < len(said) else last.text
    return _whole(chunks, last).model_copy(update={"text": text})


def _whole(chunks: Sequence[R], last: R) -> R:
    extras: dict[str, Any] = {}
    for chunk in chunks:
        extras |= {k: v for k, v in chunk.additional_kwargs.items() if k != "thinking_delta"}
    reason = next(filter(None, (finish_reason(chunk) for chunk in reversed(chunks))), None)
    raw = {"finish_reason": reason, "usage": _get(last.raw, "usage")}
    logprobs = [one for chunk in chunks for one in chunk.logprobs or ()] or None
    return last.model_copy(update={"additional_kwargs": extras, "raw": raw, "logprobs": logprobs})


def _fullness(chunk: ChatResponse) -> int:
    blocks = chunk.message.blocks
    return len(chunk.message.content or "") + sum(not isinstance(b, TextBlock) for b in blocks)


def _only_text(message: ChatMessage) -> bool:
    return all(isinstance(block, TextBlock) for block in message.blocks)


def replayed_chat(hit: Hit) -> Iterator[ChatResponse]:
    """A stored answer as chunks: deltas and the text so far, all blocks on the last."""
    answer: ChatResponse = marked(hit.answer, hit)
    parts = pieces(text_of(answer))
    thought = "".join(
        b.content or "" for b in answer.message.blocks if isinstance(b, ThinkingBlock)
    )
    so_far = ""
    for number, piece in enumerate(parts[:-1]):
        so_far += piece
        message = ChatMessage(role=answer.message.role, content=so_far)
        extras = {"thinking_delta": thought} if thought and not number else {}
        yield type(answer)(message=message, delta=piece, additional_kwargs=extras)
    if thought and len(parts) == 1:
        answer.additional_kwargs["thinking_delta"] = thought
    answer.delta = parts[-1]
    yield answer


def replayed_completion(hit: Hit) -> Iterator[CompletionResponse]:
    """As `replayed_chat`."""
    answer: CompletionResponse = marked(hit.answer, hit)
    parts = pieces(answer.text)
    so_far = ""
    for piece in parts[:-1]:
        so_far += piece
        yield type(answer)(text=so_far, delta=piece)
    answer.delta = parts[-1]
    yield answer


def pieces(text: str) -> list[str]:
    """A few words each; at least one piece, which may be empty."""
    words = _WORDS.findall(text)
    size = -(-len(words) // _PIECES) or 1
    grouped = ["".join(words[n : n + size]) for n in range(0, len(words), size)]
    return grouped or [""]
