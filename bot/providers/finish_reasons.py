"""The meaning of servers' finish reasons. Pure.

From the documentation of OpenAI, Anthropic, Gemini, Mistral, Cohere, DeepSeek, Bedrock, vLLM and Ollama.
"""

from __future__ import annotations

import re
from enum import Enum, auto


class Ending(Enum):
    """How an answer ended."""

    WHOLE = auto()
    CUT = auto()
    """A limit was reached: the text so far stays."""
    FILTERED = auto()
    """Content rules have withheld the rest."""
    BROKEN = auto()
    """Something went wrong, or the reason is unknown: the answer cannot count as complete."""


_NO_END = frozenset(
    {"", "null", "none", "nil", "undefined", "unspecified", "in_progress", "pending"}
    | {"continue", "continuing", "generating", "running", "processing", "streaming", "started"}
)
"""Values that some servers send in every chunk before the last, where others send none."""
_ENDINGS: dict[Ending, frozenset[str]] = {
    Ending.WHOLE: frozenset(
        {
            "stop",
            "end_turn",
            "stop_sequence",
            "eos",
            "eos_token",
            "eos_found",
            "eos_token_found",
            "</s>",
            "<|im_end|>",
            "complete",
            "completed",
            "done",
        }
        | {
            "finish",
            "finished",
            "stop_eos",
            "stop_str",
            "stop_token",
            "stop_word",
            "stop_words",
            "stop_eot",
            "eot",
            "eos_reached",
            "end_of_turn",
            "end_of_text",
            "end_of_sequence",
            "end_of_sentence",
            "natural",
            "natural_stop",
            "end",
            "success",
            "tool_calls",
            "tool_call",
            "tool_use",
        }
        | {"function_call", "function_calls"}
    ),
    Ending.CUT: frozenset(
        {
            "length",
            "max_tokens",
            "max_output_tokens",
            "max_completion_tokens",
            "max_new_tokens",
            "model_length",
        }
        | {
            "model_context_window_exceeded",
            "context_length",
            "context_length_exceeded",
            "context_window_exceeded",
        }
        | {"max_length", "token_limit", "token_limit_reached", "limit", "truncated", "pause_turn"}
        | {"maxlength", "length_limit", "output_limit", "output_length", "incomplete", "cutoff"}
        | {
            "max_tokens_reached",
            "max_output_tokens_reached",
            "max_tokens_exceeded",
            "length_exceeded",
        }
    ),
    Ending.FILTERED: frozenset(
        {
            "content_filter",
            "content_filtered",
            "content_filter_block",
            "content_policy",
            "content_policy_violation",
            "policy_violation",
            "blocked",
            "unsafe",
            "harmful",
            "image_prohibited_content",
            "image_recitation",
            "jailbreak",
            "safety",
            "refusal",
            "blocklist",
            "recitation",
            "spii",
        }
        | {
            "prohibited_content",
            "sensitive",
            "sensitive_content",
            "model_armor",
            "guardrail_intervened",
            "moderation",
            "image_safety",
            "flagged",
        }
        | {"error_toxic", "risk"}
    ),
}
_BY_REASON = {reason: ending for ending, reasons in _ENDINGS.items() for reason in reasons}


_PREFIX = re.compile(r"finish_?(reason[_.]|(?=stop|length))_?")
"""A prefix that some servers add to the reason: the name of their type."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BY_SEVERITY = (Ending.WHOLE, Ending.CUT, Ending.FILTERED, Ending.BROKEN)


def worst(one: Ending | None, other: Ending | None) -> Ending | None:
    """Which of two ends counts: a server that cuts an answer may still say `stop` afterwards."""
    ends = [end for end in (one, other) if end is not None]
    return max(ends, key=_BY_SEVERITY.index, default=None)


def ending_of(reason: str) -> Ending | None:
    """The meaning of a finish reason; None: the answer continues."""
    word = _word(reason)
    return None if word in _NO_END else _BY_REASON.get(word, Ending.BROKEN)


def native_ending_of(reason: object) -> Ending | None:
    """What the reason of the server behind a router adds to the router's own: that the answer is not complete."""
    ending = _BY_REASON.get(_word(reason)) if isinstance(reason, str) else None
    return None if ending is Ending.WHOLE else ending


def _word(reason: str) -> str:
    """One spelling for all servers: `MaxTokens`, `max-tokens` and `MAX_TOKENS` are `max_tokens`."""
    words = _CAMEL.sub("_", reason.strip()).replace("-", "_").replace(" ", "_").lower()
    return _PREFIX.sub("", words)
