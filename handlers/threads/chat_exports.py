"""Sends a chat to a person's direct messages as a Markdown file, or as text if Bobbin may not send files."""

from __future__ import annotations

from bot import sentences, strings
from bot.chats.export import Exporter, ExportFormat, file_name
from bot.domain import Chat
from bot.observability import get_logger
from bot.runtime.memory import MemoryBudget
from handlers.client.errors import SlackError, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.markdown.mention_guard import guarded
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.markdown.splitter import split
from handlers.views import blocks

log = get_logger(__name__)

MAX_TEXT_MESSAGES = 10
"""Messages in which a chat is sent as text."""
MAX_WAIT = 60.0
"""Seconds that Slack may take for each call that sends a file. After that, the person is told that it could not be
sent.
"""
TEXT_BYTES = 9_000
"""UTF-8 bytes of one such message."""
_MAY_NOT_SEND_FILES = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method"})


class ChatExports:
    def __init__(self, exporter: Exporter, memory: MemoryBudget) -> None:
        self._exporter = exporter
        self._memory = memory

    async def send(self, slack: SlackClient, chat: Chat, user: str) -> str:
        """Sends the chat; returns what to tell the person. Raises StorageError."""
        try:
            opened = await slack.call_with_retry(
                "conversations.open", max_wait=MAX_WAIT, users=user
            )
            with self._memory.reserve(slack.team) as reservation:
                pieces = []
                async for piece in self._exporter.chat(chat, ExportFormat.MARKDOWN):
                    await reservation.add(4 * len(piece))
                    pieces.append(piece)
                return await _send(slack, chat, str(opened["channel"]["id"]), "".join(pieces))
        except SlackError as error:
            log.warning("export_not_sent", chat=chat.id, reason=str(error))
            return strings.EXPORT_FAILED


async def _send(slack: SlackClient, chat: Chat, channel: str, text: str) -> str:
    try:
        await _send_file(slack, chat, channel, text.encode())
    except SlackRejected as error:
        if error.code not in _MAY_NOT_SEND_FILES:
            raise
        await _send_text(slack, chat, channel, text)
        return strings.EXPORT_SENT_AS_TEXT
    return strings.EXPORT_SENT


async def _send_file(slack: SlackClient, chat: Chat, channel: str, data: bytes) -> None:
    name = file_name(chat, ExportFormat.MARKDOWN)
    slot = await slack.call_with_retry(
        "files.getUploadURLExternal", max_wait=MAX_WAIT, filename=name, length=len(data)
    )
    await slack.upload(str(slot["upload_url"]), data)
    await slack.call_with_retry(
        "files.completeUploadExternal",
        retry_if_unknown=False,
        max_wait=MAX_WAIT,
        files=[{"id": slot["file_id"], "title": plain(sentences.title(chat), 150) or name}],
        channel_id=channel,
        initial_comment=strings.EXPORT_READY.format(title=_title(chat)),
    )


async def _send_text(slack: SlackClient, chat: Chat, channel: str, text: str) -> None:
    intro = strings.EXPORT_AS_TEXT.format(title=_title(chat))
    await slack.call_with_retry("chat.postMessage", channel=channel, text=intro)
    for _ in range(MAX_TEXT_MESSAGES):
        if not text.strip():
            return
        if len(text.encode()) <= TEXT_BYTES:
            head, text = text, ""
        else:
            cut = split(text, TEXT_BYTES)
            head, text = cut.head, cut.tail
        await slack.call_with_retry(
            "chat.postMessage",
            channel=channel,
            text=intro,
            blocks=blocks.markdown(guarded(head)),
            unfurl_links=False,
            unfurl_media=False,
        )
    if text.strip():
        cut_off = strings.EXPORT_CUT.format(id=chat.id)
        await slack.call_with_retry("chat.postMessage", channel=channel, text=cut_off)


def _title(chat: Chat) -> str:
    return mrkdwn_escape(plain(sentences.title(chat), 150))
