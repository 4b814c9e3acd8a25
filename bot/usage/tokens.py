"""Estimates of how many tokens a text and a turn with tool calls have, before a model has counted them. Pure."""

from __future__ import annotations

from bot.tool_calls import Tool, ToolRound
from bot.usage.calls import BYTES_PER_TOKEN

TOKENS_PER_TURN = 5
"""What a template adds to each turn."""


def tokens_of_text(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN + TOKENS_PER_TURN


def tokens_of_tool(tool: Tool) -> int:
    """Tokens of the tool's definition."""
    return tool.size // BYTES_PER_TOKEN + TOKENS_PER_TURN


def tokens_of_round(turn: ToolRound) -> int:
    """Tokens of the turn's text, its calls and their results."""
    written = (turn.text, turn.extra, *(call.arguments for call in turn.calls), *turn.results)
    return sum(map(tokens_of_text, written))
