"""Reads what the chunks of an answer hold, in the shapes that servers give them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain import Usage

_THOUGHTS = ("thinking", "reasoning")
"""Types of parts that are no part of the answer."""
_MAX_TOKENS = 2**31 - 1
_MAX_COST = 1e6
"""US dollars of one call: more is a mistake."""


def choices_of(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a chunk, which may be one that stands in place of a list."""
    choices = chunk.get("choices")
    entries = choices if isinstance(choices, list) else [choices]
    return [entry for entry in entries if isinstance(entry, dict)]


def index_of(choice: Mapping[str, Any]) -> int:
    """The number of a choice, 0 if it has none that can be read."""
    index = choice.get("index")
    return int(index) if isinstance(index, int | str) and str(index).isdecimal() else 0


def reason_of(holder: Mapping[str, Any]) -> str | None:
    """The finish reason in a chunk, a choice or a delta, also as the type of an object; None: there is none."""
    for name in ("finish_reason", "finishReason", "finish_details"):
        value = holder.get(name)
        value = value.get("type") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value
    return None


def content_of(content: Any) -> tuple[str, bool]:
    """The text of a delta's content, which may be a list of parts, and whether some of it was reasoning."""
    if isinstance(content, str):
        return content, False
    parts = content if isinstance(content, list) else [content]
    has_reasoning = any(isinstance(part, dict) and part.get("type") in _THOUGHTS for part in parts)
    return "".join(map(_part, parts)), has_reasoning


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") in _THOUGHTS:
        return ""
    text = part.get("text")
    value = text.get("value") if isinstance(text, dict) else text
    return value if isinstance(value, str) else ""


def usage_of(usage: dict[str, Any]) -> Usage | None:
    prompt, completion = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
    if prompt is None or completion is None:
        return None
    return Usage(prompt, completion, _dollars(usage.get("cost")), _cached_tokens(usage))


def _count(value: Any) -> int | None:
    """A number of tokens; None for what cannot be one, which must not get into sums."""
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _dollars(value: Any) -> float | None:
    is_cost = type(value) in (int, float) and 0 <= value <= _MAX_COST
    return float(value) if is_cost else None


def _cached_tokens(usage: dict[str, Any]) -> int:
    """The tokens of the prompt that the server had kept, in the words of OpenAI, DeepSeek, Mistral or Anthropic."""
    details = usage.get("prompt_tokens_details") or usage.get("prompt_token_details")
    counts = (
        details.get("cached_tokens") if isinstance(details, dict) else None,
        usage.get("prompt_cache_hit_tokens"),
        usage.get("num_cached_tokens"),
        usage.get("cache_read_input_tokens"),
    )
    return next((count for count in map(_count, counts) if count), 0)
