"""The table of rates: it contains every Slack method that the code calls, with Slack's documented rate.

`World` checks after each test that the bot calls no others.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.limits import CALLS_PER_MINUTE, Limits
from handlers.rate_limits.slack_rates import PER_CHANNEL, POST, RATES, UNCOUNTED
from handlers.rate_limits.urgency import USUAL_URGENCY

HANDLERS = Path(__file__).parents[3] / "handlers"
METHOD = re.compile(r"[a-z]+(\.[a-zA-Z0-9]+)+")
CLIENT_NAMES = {"client", "_client"}
SPECIAL = {POST: Limits().post_per_second * 60, "assistant.threads.setStatus": 60}
"""Calls a minute in one channel."""


def named_methods() -> Iterator[str]:
    """Slack's methods that the source names in a string, or calls on a client of the SDK."""
    known = {name for name in vars(AsyncWebClient) if not name.startswith("_")}
    for file in HANDLERS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if METHOD.fullmatch(node.value) and node.value.replace(".", "_") in known:
                    yield node.value
            elif isinstance(node, ast.Attribute) and node.attr in known and "_" in node.attr:
                yield _dotted(node.attr)


def _dotted(name: str) -> str:
    """chat_postMessage → chat.postMessage, but api_call and the like as they are."""
    method = name.replace("_", ".")
    return method if method in CALLS_PER_MINUTE else name


def test_every_method_that_the_code_calls_has_a_rate() -> None:
    called = set(named_methods()) - {"api_call"}
    assert called >= {"files.info", "conversations.members", "conversations.history", POST}
    assert called - RATES.keys() - UNCOUNTED == set()


@pytest.mark.parametrize("method", sorted(RATES))
def test_rates_are_those_that_slack_documents(method: str) -> None:
    documented = SPECIAL[method] if method in PER_CHANNEL else CALLS_PER_MINUTE[method]
    assert RATES[method].per_second * 60 == pytest.approx(documented)


def test_the_table_of_urgencies_names_only_methods_with_a_rate() -> None:
    assert USUAL_URGENCY.keys() <= RATES.keys()
