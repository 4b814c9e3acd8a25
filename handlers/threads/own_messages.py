"""Finds the bot's own messages in Slack by a block id, which identifies the purpose of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.domain import Thread
from handlers.client.web_api import SlackClient


async def find_own(slack: SlackClient, thread: Thread, block_id: str) -> str | None:
    """The ts of the bot's first message in the thread with this block. Raises SlackError."""
    messages = await slack.own_messages(thread.channel, thread.ts, thread.ts)
    return next(iter(with_block(messages, block_id)), None)


def with_block(messages: Iterable[dict[str, Any]], block_id: str) -> list[str]:
    """The ts of each of these messages that has this block."""
    return [
        str(message["ts"])
        for message in messages
        if any(block.get("block_id") == block_id for block in message.get("blocks") or ())
    ]
