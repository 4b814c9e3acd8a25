"""Shows API messages in a chat's thread: before the answer, and once."""

from __future__ import annotations

from bot import english_strings, sentences, strings
from bot.chats.api_service import API_SOURCE
from bot.domain import Answer, Chat, Message, User
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.rate_limits.urgency import Urgency
from handlers.threads.own_messages import find_own
from handlers.views import blocks
from storage.chats import Chats

MAX_MESSAGE_LENGTH = 2_400
"""Escaped characters of the message that fit into one section with the name; the chat itself has all of it."""
MAX_NAME_LENGTH = 80
MAX_FALLBACK_LENGTH = 300


class ApiEcho:
    def __init__(self, chats: Chats, names: UserNames) -> None:
        self._chats = chats
        self._names = names

    async def show(
        self, slack: SlackClient, chat: Chat, answer: Answer, *, look_first: bool
    ) -> None:
        """Posts the question of this answer, if it came through the API.

        `look_first`: an earlier attempt may have taken effect. Raises SlackError.
        """
        message = await self._chats.message(answer.question_id)
        thread = chat.thread
        if thread is None or not (message.source or "").startswith(API_SOURCE):
            return
        name = (
            await self._names(User(chat.team, message.author or ""))
            or english_strings.UNKNOWN_PERSON
        )
        async with self._names.using_language_of(User(chat.team, chat.owner)):
            fallback = strings.SENT_THROUGH_API.format(name=name, text=message.text)
            shown = blocks.api_message(message.id, _mrkdwn(name, message))
        await post_message_once(
            slack,
            lambda: find_own(slack, thread, blocks.api_message_block_id(message.id)),
            look_first=look_first,
            retry_limit=0.0,  # a second message may only be posted once the first can be found
            urgency=Urgency.ANSWER,
            channel=thread.channel,
            thread_ts=thread.ts,
            blocks=shown,
            text=plain(fallback, MAX_FALLBACK_LENGTH),
            unfurl_links=False,
            unfurl_media=False,
        )


def _mrkdwn(name: str, message: Message) -> str:
    text = escape_and_cut(message.text, MAX_MESSAGE_LENGTH)
    if attached := sentences.sent_with([*message.images, *message.omitted_images]):
        text = f"{text} _({attached})_"
    return strings.SENT_THROUGH_API.format(
        name=mrkdwn_escape(plain(name, MAX_NAME_LENGTH)), text=text
    )


def escape_and_cut(text: str, max_length: int) -> str:
    """The text escaped for mrkdwn, so that nothing in it pings or links, with an ellipsis if it is cut."""
    kept = text[:max_length]
    escaped = mrkdwn_escape(kept)
    if len(escaped) <= max_length and len(text) <= max_length:
        return escaped
    while len(mrkdwn_escape(kept)) >= max_length:
        kept = kept[: len(kept) * 9 // 10]
    return mrkdwn_escape(kept.rstrip()) + "…"
