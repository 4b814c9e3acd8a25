"""Estimates how many tokens texts, speech and tool calls have, before a model has counted them. Pure."""

from __future__ import annotations

from bot.domain.tool_calls import Tool, ToolRound

BYTES_PER_TOKEN = 3
"""This is cautious: in most languages a token has more bytes."""
_BYTES_PER_TOKEN_OF_SPEECH = 500
"""Models count 10 to 32 tokens for a second of speech, which takes 3,000 to 8,000 bytes in the formats of phones."""
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


def tokens_of_speech(data: bytes) -> int:
    return len(data) // _BYTES_PER_TOKEN_OF_SPEECH + TOKENS_PER_TURN
