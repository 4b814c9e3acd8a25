"""What people had said in a thread before they turned to Bobbin: who said what, within a budget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot import strings
from bot.chats.attachments.rules import select_earlier
from bot.domain import SharedFile, Thread, User
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.text import plain
from handlers.views.payloads import MESSAGE_SUBTYPES, readable, shared_files

MESSAGES = 50
"""So many of the newest messages are told, besides the one that the thread began with."""
CHARACTERS = 12_000
LONGEST = 4_000
"""Characters of one message."""
PAGE = 200
PAGES = 10
"""Slack gives a thread from its beginning on; of one that is longer than this, the middle is told."""


@dataclass(frozen=True, slots=True)
class ThreadContext:
    """What had been said and shared in a thread."""

    text: str = field(repr=False)
    """Lines "name: text"; empty when nobody spoke."""
    files: tuple[SharedFile, ...] = ()
    """What may be of use to a model, of all that was shared."""


async def recap(slack: SlackClient, names: UserNames, thread: Thread, until: str) -> ThreadContext:
    """The thread up to the message `until`. Raises SlackError."""
    said = [m for m in await _messages(slack, thread, until) if _is_speech(m, slack)]
    lines = await asyncio.gather(*(_line(slack, names, message) for message in said))
    files = [file for message in said for file in shared_files(message)]
    return ThreadContext(fitting([line[:LONGEST] for line in lines]), select_earlier(files))


def fitting(lines: Sequence[str], most: int = CHARACTERS) -> str:
    """The first line, which says what it is about, and as many of the last ones as fit."""
    if not lines:
        return ""
    kept: deque[str] = deque()
    left = most - len(lines[0])
    for line in reversed(lines[1:]):
        left -= len(line) + 1
        if left < 0:
            break
        kept.appendleft(line)
    gap = [strings.THREAD_GAP] if len(kept) < len(lines) - 1 else []
    return "\n".join([lines[0], *gap, *kept])


async def _messages(slack: SlackClient, thread: Thread, until: str) -> list[dict[str, Any]]:
    root: list[dict[str, Any]] = []
    newest: deque[dict[str, Any]] = deque(maxlen=MESSAGES)
    pages = 0
    async for page in slack.pages(
        "conversations.replies",
        channel=thread.channel,
        ts=thread.ts,
        latest=until,
        limit=PAGE,
    ):
        for message in page.get("messages", []):
            if message["ts"] == thread.ts:
                root = [message]
            elif message["ts"] < until:
                newest.append(message)
        pages += 1
        if pages == PAGES:
            break
    return [message for message in root if message["ts"] < until] + list(newest)


def _is_speech(message: dict[str, Any], slack: SlackClient) -> bool:
    if message.get("user") == slack.bot_user:
        return False
    speech = message.get("subtype") in MESSAGE_SUBTYPES or message.get("subtype") == "bot_message"
    return speech and bool(message.get("text") or message.get("files"))


async def _line(slack: SlackClient, names: UserNames, message: dict[str, Any]) -> str:
    author = str(message.get("user") or "")
    name = message.get("username") or (message.get("bot_profile") or {}).get("name")
    if not name and author:
        name = await names(User(slack.team, author))
    text = await names.replace_ids(
        slack.team, readable(str(message.get("text") or ""), slack.bot_user)
    )
    shared = [
        str(file.get("name") or file.get("title") or file.get("id"))
        for file in message.get("files") or ()
    ]
    said = [text] if text else []
    if shared:
        said.append(strings.THREAD_FILES.format(names=", ".join(shared)))
    # Indented, so that no line of a message can pass for another person's.
    return f"{plain(str(name or ''), 80) or strings.UNKNOWN_PERSON}: " + "\n  ".join(
        " ".join(said).splitlines()
    )
