"""The usage that a stream reports, however often and in whatever order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bot.domain import Usage
from bot.providers.stream_parser import StreamParser
from tests.providers.parsing import STOP
from tests.providers.scripted_server import DONE, data, delta

CASES: Mapping[str, tuple[list[Any], Usage | None]] = {
    "once": ([{"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5}], Usage(7, 3, 0.5)),
    "twice the same": ([{"prompt_tokens": 7, "completion_tokens": 3}] * 2, Usage(7, 3)),
    "more and more": (
        [{"prompt_tokens": 7, "completion_tokens": count} for count in range(1, 9)],
        Usage(7, 8),
    ),
    "corrected": (
        [
            {"prompt_tokens": 9, "completion_tokens": 3},
            {"prompt_tokens": 7, "completion_tokens": 3},
        ],
        Usage(7, 3),
    ),
    "nothing at last": (
        [
            {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5},
            {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0},
            None,
        ],
        Usage(7, 3, 0.5),
    ),
    "the cost earlier": (
        [
            {"prompt_tokens": 7, "completion_tokens": 1, "cost": 0.5},
            {"prompt_tokens": 7, "completion_tokens": 3},
        ],
        Usage(7, 3, 0.5),
    ),
    "negative": ([{"prompt_tokens": -7, "completion_tokens": 3}], None),
    "absurd": ([{"prompt_tokens": 7, "completion_tokens": 10**12, "cost": 10**9}], None),
    "absurd after sound": (
        [
            {"prompt_tokens": 7, "completion_tokens": 3},
            {"prompt_tokens": 7, "completion_tokens": "many"},
        ],
        Usage(7, 3),
    ),
}


@pytest.mark.parametrize("before_text", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_what_was_used_is_read(case: str, before_text: bool) -> None:
    told, usage = CASES[case]
    chunks = b"".join(data({"choices": [], "usage": each}) for each in told)
    parser = StreamParser()
    parser.feed(chunks + delta("Hi") + STOP if before_text else delta("Hi") + STOP + chunks)
    parser.feed(DONE)
    parser.finish()
    assert parser.usage == usage
