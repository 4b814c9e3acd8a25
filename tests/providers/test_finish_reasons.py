"""What servers report about an end and about usage, in the terms of every provider."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import Usage
from bot.errors import (
    ContentFiltered,
    ProviderError,
    StreamInterrupted,
)
from bot.providers.chunks import usage_of
from bot.providers.finish_reasons import Ending, ending_of
from bot.providers.stream_parser import StreamParser
from tests.providers.parsing import (
    STOP,
    outcome,
)
from tests.providers.scripted_server import (
    DONE,
    USAGE,
    data,
    delta,
)

REASONS: dict[str, str | type[ProviderError]] = {
    **dict.fromkeys(
        [
            "stop",
            "STOP",
            "end_turn",
            "stop_sequence",
            "eos",
            "COMPLETE",
            "tool_calls",
            "EndTurn",
            "eos-token",
            "eot",
            "end_of_text",
            "tool-calls",
            "FinishReason.STOP",
        ],
        "stop",
    ),
    **dict.fromkeys(
        [
            "length",
            "MAX_TOKENS",
            "model_length",
            "max_output_tokens",
            "maxTokens",
            "max-tokens",
            "length_limit",
        ],
        "length",
    ),
    **dict.fromkeys(
        [
            "content_filter",
            "SAFETY",
            "refusal",
            "RECITATION",
            "sensitive",
            "contentFilter",
            "policy_violation",
            "unsafe",
        ],
        ContentFiltered,
    ),
    **dict.fromkeys(
        [
            "network_error",
            "abort",
            "aborted",
            "cancelled",
            "insufficient_system_resource",
            "timeout",
            "malformed_function_call",
            "OTHER",
            "unknown",
            "ERROR_LIMIT",
            "repetition",
            "engine_overloaded",
            "stopped",
            "preempted",
            "MALFORMED_RESPONSE",
            "unexpected_tool_call",
        ],
        StreamInterrupted,
    ),
}


@pytest.mark.parametrize(("reason", "expected"), REASONS.items())
def test_each_finish_reason_is_taken_for_what_it_means(
    reason: str, expected: str | type[ProviderError]
) -> None:
    assert outcome(delta("Hi") + delta(finish=reason) + USAGE + DONE) == ("Hi", expected)
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": reason}]}
    assert outcome(json.dumps(body).encode())[1] == expected


@given(st.text(max_size=20))
def test_an_unknown_reason_never_makes_an_answer_whole(reason: str) -> None:
    if ending_of(reason) in (None, Ending.BROKEN):
        assert outcome(delta("Hi") + delta(finish=reason))[1] is StreamInterrupted


USAGES: dict[str, tuple[dict[str, object], Usage]] = {
    "OpenAI": (
        {
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 5},
            }
        },
        Usage(9, 2, None, 5),
    ),
    "numbers with a point": (
        {"usage": {"prompt_tokens": 9.0, "completion_tokens": 2.0}},
        Usage(9, 2),
    ),
    "Groq": ({"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}}, Usage(9, 2)),
    "Moonshot": (
        {"choices": [{"usage": {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 5}}]},
        Usage(9, 2, None, 5),
    ),
    "DeepSeek": (
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5}},
        Usage(9, 2, None, 5),
    ),
    "Mistral": (
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "num_cached_tokens": 5}},
        Usage(9, 2, None, 5),
    ),
    "Anthropic's words": (
        {"usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 5}},
        Usage(9, 2, None, 5),
    ),
    "OpenAI's newer words": (
        {
            "usage": {
                "input_tokens": 9,
                "output_tokens": 2,
                "input_tokens_details": {"cached_tokens": 5},
            }
        },
        Usage(9, 2, None, 5),
    ),
}


@pytest.mark.parametrize(("chunk", "expected"), USAGES.values(), ids=USAGES)
def test_usage_is_read_wherever_a_provider_reports_it(
    chunk: dict[str, object], expected: Usage
) -> None:
    for last in (chunk, {"choices": [], "usage": None} | chunk):
        parser = StreamParser()
        parser.feed(delta("Hi") + data(last) + STOP + DONE)
        assert parser.usage == expected


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**40)), min_size=4, max_size=4))
def test_what_a_call_used_adds_up_to_a_number_that_the_database_takes(
    told: list[int | None],
) -> None:
    """One that PostgreSQL refused would fail the renewal of all leases of the process."""
    cache = ("cache_read_input_tokens", "cache_creation_input_tokens")
    usage = usage_of(dict(zip(("input_tokens", "output_tokens", *cache), told, strict=True)))
    if usage is not None:
        assert max(usage.prompt_tokens + usage.completion_tokens, usage.cached_tokens) < 2**31
