"""What a program said for its person, shown in the thread where the chat stands: before the answer, and once."""

from __future__ import annotations

from typing import Any

from bot import strings
from bot.chats.api_service import API_SOURCE
from bot.domain import Answer, Chat, Message, User
from bot.observability import get_logger
from handlers.client.errors import SlackError
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.text import mrkdwn_escape, plain
from handlers.views import blocks
from storage.chats import Chats

log = get_logger(__name__)

LONGEST = 2_900
"""Characters of Slack's 3,000 for a section that a message may take, escaped; the chat itself holds all of it."""


class ApiEcho:
    def __init__(self, chats: Chats, names: UserNames) -> None:
        self._chats, self._names = chats, names

    async def show(self, slack: SlackClient, chat: Chat, answer: Answer) -> None:
        """Shows the question of this answer, if a program asked it. A failure changes nothing for the answer."""
        message = await self._chats.message(answer.question_id)
        if chat.thread is None or not (message.source or "").startswith(API_SOURCE):
            return
        try:
            content, text = await self._content(chat, message)
            await post_message_once(
                slack,
                lambda: self._find(slack, chat, message),
                look_first=answer.attempt > 1,
                retry_limit=0.0,  # a missing message is better than a second one
                channel=chat.thread.channel,
                thread_ts=chat.thread.ts,
                blocks=content,
                text=text,
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackError as error:
            log.warning("said_not_shown", chat=chat.id, reason=str(error))

    async def _find(self, slack: SlackClient, chat: Chat, message: Message) -> str | None:
        """The ts of the message's echo, if it was posted already."""
        assert chat.thread is not None
        found = await slack.own_messages(chat.thread.channel, chat.thread.ts, chat.thread.ts)
        return next(
            (
                str(one["ts"])
                for one in found
                if blocks.has_block(one, blocks.api_message_block_id(message.id))
            ),
            None,
        )

    async def _content(self, chat: Chat, message: Message) -> tuple[list[dict[str, Any]], str]:
        user = User(chat.team, message.author or "")
        name = await self._names(user) or strings.UNKNOWN_PERSON
        said = [fitting(message.text, LONGEST - 500)]
        if message.images:
            count = len(message.images)
            said.append(
                f"_({strings.VIA_API_IMAGE if count == 1 else strings.VIA_API_IMAGES.format(count=count)})_"
            )
        shown = strings.VIA_API.format(name=mrkdwn_escape(plain(name, 80)), text=" ".join(said))
        return blocks.api_message(message.id, shown), plain(
            strings.VIA_API.format(name=name, text=message.text), 300
        )


def fitting(text: str, most: int) -> str:
    """The text escaped for mrkdwn, so that nothing in it pings or links; cut where it would become too long."""
    escaped = mrkdwn_escape(text[:most])
    if len(escaped) <= most and len(text) <= most:
        return escaped
    kept = text[:most]
    while len(mrkdwn_escape(kept)) >= most:
        kept = kept[: len(kept) * 9 // 10]
    return mrkdwn_escape(kept.rstrip()) + "…"
