"""Keeps a busy machine from changing the result of a test: longer deadlines, and patience while waiting.

A test waits for a condition and gives up after `WAIT_TIMEOUT`. Deadlines that Slack imposes on the bot are multiplied
by `DEADLINE_SCALE`, and the bot itself gets `patient_timing()`, in which every timeout is longer by the same factor.
Tests in which a deadline passes set a short one themselves. Only retries of failed models come sooner, because so many
models fail in tests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.timing import Timing

DEADLINE_SCALE = 10.0
"""Three seconds for an acknowledgement become thirty. A test that waits for a deadline to pass sets 1.0."""

WAIT_TIMEOUT = float(os.environ.get("TEST_WAIT_TIMEOUT", "180"))
"""Seconds after which a condition that a test waits for is taken to be never met."""

_GIVING_UP = (
    "lease_duration",
    "lease_safe",
    "last_write_timeout",
    "session_call_timeout",
    "status_end_timeout",
    "user_name_timeout",
    "user_lookup_timeout",
    "person_timeout",
    "membership_timeout",
    "files_timeout",
    "file_read_timeout",
    "thread_sweep_min_age",
    "duplicate_menu_delay",
    "header_min_age",
    "dialog_min_age",
    "context_timeout",
    "context_timeout_after_choice",
    "longest_title",
    "chore_timeout",
    "question_timeout",
    "question_resumed_timeout",
    "stray_timeout",
    "search_timeout",
    "press_claim",
    "dialog_open_timeout",
    "home_tab_timeout",
    "model_list_request_timeout",
    "model_list_timeout",
    "usage_timeout",
    "http_header_timeout",
    "http_body_gap_timeout",
    "token_recheck_interval",
    "redis_timeout",
    "idle_transaction_timeout",
    "overdue",
    "database_connect_timeout",
    "database_statement_timeout",
    "database_migration_timeout",
    "database_lease_timeout",
    "database_outcome_timeout",
    "database_search_timeout",
    "command_patience",
)
"""The fields of Timing after which the bot gives up, or looks for what another process left or did not tell."""


def patient_timing(**changes: Any) -> Timing:
    """The bot's timing in tests: it gives up later, and does everything else as soon as in production, or sooner."""
    usual = Timing()
    longer = {name: getattr(usual, name) * DEADLINE_SCALE for name in _GIVING_UP}
    sooner = {"model_retry_delays": (0.05, 0.2)}
    return replace(usual, **(longer | sooner | changes))


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not condition():
            await asyncio.sleep(0.01)
