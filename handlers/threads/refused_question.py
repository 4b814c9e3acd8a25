"""Reads a message for which a full chat had no room: it is not stored, so Slack is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain import Chat, User
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.views.message_content import content_of


@dataclass(frozen=True, slots=True)
class RefusedQuestion:
    """The initial content of a new chat's dialog."""

    text: str = field(repr=False)
    files: tuple[tuple[str, str], ...] = ()
    """Id and name of each file."""


async def read_refused(
    slack: SlackClient, names: UserNames, chat: Chat, ts: str
) -> RefusedQuestion | None:
    """The message `ts` in the chat's thread; None if it no longer exists. Raises SlackError."""
    if chat.thread is None:
        return None
    page = await slack.call_with_retry(
        "conversations.replies",
        channel=chat.thread.channel,
        ts=chat.thread.ts,
        oldest=ts,
        latest=ts,
        inclusive=True,
    )
    found = (message for message in page.get("messages") or () if message.get("ts") == ts)
    if (message := next(found, None)) is None:
        return None
    content = content_of(message, slack.bot_user)
    await names.find(User(slack.team, id) for id in content.mentions)
    text = await names.name_ids(slack.team, content.text)
    return RefusedQuestion(text, tuple((file.id, file.name) for file in content.files))
