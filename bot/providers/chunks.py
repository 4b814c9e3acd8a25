"""Reads the contents of an answer's chunks, in all the forms that servers use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bot.domain import Usage

_THOUGHTS = ("thinking", "reasoning")
"""Types of parts that do not belong to the answer."""
_MAX_TOKENS = 10**8
"""The highest plausible count: more is a mistake. The sum of a call's counts must fit the database's integers."""
_PROMPT = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_COMPLETION = ("completion_tokens", "output_tokens", "eval_count")
_BESIDE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens")
_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details")
"""OpenAI, one of Mistral's, OpenAI's newer format."""
_CACHED = (
    "prompt_cache_hit_tokens",  # DeepSeek
    "num_cached_tokens",  # Mistral
    "cache_read_input_tokens",  # Anthropic
    "cached_tokens",  # Moonshot
)
_MAX_COST = 1e6
"""The highest plausible cost of one call in US dollars: more is a mistake."""


def choices_of(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a chunk, which may be a single one instead of a list."""
    choices = chunk.get("choices")
    entries = choices if isinstance(choices, list) else [choices]
    return [entry for entry in entries if isinstance(entry, dict)]


def index_of(choice: Mapping[str, Any]) -> int:
    """The number of a choice, 0 if it has none that can be read."""
    index = choice.get("index")
    return int(index) if isinstance(index, int | str) and str(index).isdecimal() else 0


def reason_of(holder: Mapping[str, Any]) -> str | None:
    """The finish reason in a chunk, a choice or a delta, also as the type of an object; None if there is none."""
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
    """The tokens of a call, in the terms of OpenAI, Anthropic or Ollama; None if one of the two counts is missing."""
    prompt, completion = (_first_count(usage, names) for names in (_PROMPT, _COMPLETION))
    if prompt is None or completion is None:
        return None
    if usage.get("prompt_tokens") is None:  # Anthropic counts cached tokens separately
        prompt += sum(filter(None, (_count(usage.get(name)) for name in _BESIDE_INPUT)))
    return Usage(prompt, completion, _dollars(usage.get("cost")), _cached_tokens(usage))


def usage_in(chunk: Mapping[str, Any]) -> Usage | None:
    """The tokens reported in a chunk: at its top level, in Groq's field, or in a choice (Moonshot)."""
    holders = [chunk, chunk.get("x_groq"), *choices_of(chunk)]
    reported = (each.get("usage") for each in holders if isinstance(each, dict))
    return next(
        (found for each in reported if isinstance(each, dict) and (found := usage_of(each))), None
    )


def latest_usage(before: Usage | None, reported: Usage | None) -> Usage | None:
    """What a call has used once another chunk has been read: the newest counts, unless they are all zero.

    A cost stays if the newer chunk reports none.
    """
    if before is None or reported is None:
        return reported or before
    if not (reported.prompt_tokens or reported.completion_tokens):
        return before
    return reported if reported.cost is not None else replace(reported, cost=before.cost)


def _first_count(usage: Mapping[str, Any], names: Iterable[str]) -> int | None:
    return next((n for name in names if (n := _count(usage.get(name))) is not None), None)


def _count(value: Any) -> int | None:
    """A number of tokens; None for an impossible value, which must not get into sums."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _dollars(value: Any) -> float | None:
    is_cost = type(value) in (int, float) and 0 <= value <= _MAX_COST
    return float(value) if is_cost else None


def _cached_tokens(usage: dict[str, Any]) -> int:
    """The tokens of the prompt that the server had cached, in each provider's terms."""
    found = (usage.get(name) for name in _DETAILS)
    details: Any = next((each for each in found if isinstance(each, dict)), {})
    counts = (details.get("cached_tokens"), *(usage.get(name) for name in _CACHED))
    return next((count for count in map(_count, counts) if count), 0)
