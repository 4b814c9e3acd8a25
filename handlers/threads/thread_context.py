"""The thread context: who said what in a thread before Bobbin was mentioned there, within a size limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bot import english_strings, strings
from bot.chats.attachments.rules import select_earlier
from bot.chats.chat_request_lifecycle import ContextRead, RequestLifecycle
from bot.domain import SharedFile, User
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from handlers.client.errors import SlackError
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import plain
from handlers.threads.private_notices import post_ephemeral_once
from handlers.threads.thread_ends import ends_of
from handlers.views.message_content import MessageContent, content_of
from handlers.views.payloads import MESSAGE_SUBTYPES, is_mentioned
from storage.chat_requests import ChatRequest

log = get_logger(__name__)

MAX_CONTEXT_LENGTH = 12_000
"""Characters of the whole context."""
MAX_MESSAGE_LENGTH = 4_000
"""Characters of one message."""
GAP = "[…]"
"""Tells the model that lines were left out here."""
SHARED_FILES = "[shared: {names}]"
"""Tells the model which files a message shared."""


_ThreadMessage = tuple[dict[str, Any], MessageContent]
"""A message with its content as people see it."""


@dataclass(frozen=True, slots=True)
class ThreadContext:
    """What people said and shared in a thread besides the question."""

    text: str = field(repr=False)
    """Lines "name: text" before the question; empty if there are none."""
    since: str = field(repr=False)
    """What was said after it: the asker's own messages without a name, and lines "name: text" by others."""
    files: tuple[SharedFile, ...] = ()
    """The shared files that may be useful to a model."""
    until: str | None = None
    """Ts of the newest message."""
    quoted: frozenset[str] = frozenset()
    """Slack ids of the people, except the asker, who said or shared it."""


class ThreadContextReader:
    """Reads the thread context of chat requests: in the background, and again before a chat starts."""

    def __init__(
        self,
        lifecycle: RequestLifecycle,
        names: UserNames,
        transcribes: bool,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        """`transcribes`: whether voice clips are transcribed."""
        self._transcribes = transcribes
        self._lifecycle = lifecycle
        self._names = names
        self._tasks = tasks
        self._timing = timing
        self._reads: dict[str, asyncio.Task[ChatRequest]] = {}

    @asynccontextmanager
    async def reading(self, slack: SlackClient, request: ChatRequest) -> AsyncIterator[None]:
        """Reads the context, if the request needs one, while the block runs.

        The block starts after at most `context_grace` seconds, so that a menu is not late; leaving it waits until the
        context is read, for at most `context_timeout` seconds.
        """
        if not request.needs_context:
            yield
            return
        read = asyncio.create_task(self._read_with_retries(slack, request), name="thread context")
        self._reads[request.id] = read
        try:
            await asyncio.wait([read], timeout=self._timing.context_grace)
            yield
            await asyncio.wait([read], timeout=self._timing.context_timeout)
        finally:
            read.cancel()
            self._reads.pop(request.id, None)
            await asyncio.gather(read, return_exceptions=True)

    async def finish(
        self, slack: SlackClient, request: ChatRequest, question: str | None = None
    ) -> None:
        """Reads the context, or waits until it is read, for at most `context_timeout_after_choice` seconds.

        If Slack does not return the thread in that time, the asker is told. `question`: for a request from a dialog,
        the ts of the message that shows it.
        """
        is_read = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.context_timeout_after_choice):
                if (read := self._reads.get(request.id)) is not None:
                    await asyncio.wait([read])
                    if not read.cancelled() and read.exception() is None:
                        request = read.result()
                request = await self._read_with_retries(slack, request, question)
                is_read = not _is_due(request, question)
        if not is_read:
            self._tasks.start(_notify_unread(slack, request), name="notice")

    async def _read_with_retries(
        self, slack: SlackClient, request: ChatRequest, question: str | None = None
    ) -> ChatRequest:
        """Retries while Slack refuses, and includes what was said meanwhile; gives up after the last delay."""
        for delay in (0.0, *self._timing.context_retry_delays):
            if not _is_due(request, question):
                break
            await asyncio.sleep(delay)
            request = await self.read(slack, request, question)
        return request

    async def read(
        self, slack: SlackClient, request: ChatRequest, question: str | None = None
    ) -> ChatRequest:
        """Stores the context of a request. If the thread cannot be read, the request stays as it is.

        `question`: ts of the message with the question; by default the reply that contains it, else the mention.
        """
        at = question or request.source or request.ts
        try:
            context = await read_thread(
                slack, self._names, request, at, transcribes=self._transcribes
            )
        except SlackError as error:
            log.info("thread_not_readable", request=request.id, reason=str(error))
            return request
        own = {file.id for file in request.files}
        files = tuple(file for file in context.files if file.id not in own)
        event = ContextRead(context.text, files, context.since, context.until, context.quoted)
        return await self._lifecycle.advance(request, event)


def _is_due(request: ChatRequest, question: str | None) -> bool:
    return request.needs_context if question is None else request.context is None


async def _notify_unread(slack: SlackClient, request: ChatRequest) -> None:
    await post_ephemeral_once(
        slack,
        request.id,
        channel=request.thread.channel,
        user=request.user,
        text=strings.CONTEXT_UNREAD,
        thread=request.thread.ts,
    )


async def read_thread(
    slack: SlackClient, names: UserNames, request: ChatRequest, question: str, *, transcribes: bool
) -> ThreadContext:
    """The thread before and after the message `question`. Raises SlackError."""
    messages = await ends_of(slack, request.thread)
    relevant = _relevant(slack, messages)
    await names.find(_people_of(slack, relevant))
    before = [
        each
        for each in relevant
        if each[0]["ts"] < min(question, request.mention_ts or question)
        or (each[0]["ts"] < question and _adds_to_question(request, slack, each))
    ]
    since = [
        each
        for each in relevant
        if each[0]["ts"] > question and _adds_to_question(request, slack, each)
    ]
    return ThreadContext(
        text=fit_lines([await _line(slack, names, *each) for each in before]),
        since=fit_lines([await _line(slack, names, *each, of=request.user) for each in since]),
        files=select_earlier(
            [file for _, content in (*before, *since) for file in content.files],
            transcribes=transcribes,
        ),
        until=max((str(message["ts"]) for message in messages), default=None),
        quoted=_authors_of((*before, *since)) - {request.user},
    )


def _adds_to_question(
    request: ChatRequest, slack: SlackClient, message_and_content: _ThreadMessage
) -> bool:
    """Whether a later message adds to the question: it is neither the question itself nor another question."""
    message, content = message_and_content
    is_own_files = bool(content.files) and message.get("user") == request.user
    known = {file.id for file in request.files}
    if is_own_files and {file.id for file in content.files} <= known:
        return False  # they were added to the question when they were shared
    return message["ts"] != request.source and not is_mentioned(slack.bot_user, content)


def fit_lines(lines: Sequence[str], max_length: int = MAX_CONTEXT_LENGTH) -> str:
    """The first line, which says what the thread is about, and as many of the last lines as fit."""
    if not lines:
        return ""
    kept: deque[str] = deque()
    left = max_length - len(lines[0])
    for line in reversed(lines[1:]):
        left -= len(line) + 1
        if left < 0:
            break
        kept.appendleft(line)
    gap = [GAP] if len(kept) < len(lines) - 1 else []
    return "\n".join([lines[0], *gap, *kept])


def _relevant(slack: SlackClient, messages: Sequence[dict[str, Any]]) -> list[_ThreadMessage]:
    """Messages by people and other bots, without the bot's own."""
    found = [(m, content_of(m, slack.bot_user)) for m in messages if _is_relevant(m, slack)]
    return [(message, content) for message, content in found if content.text or content.files]


def _is_relevant(message: dict[str, Any], slack: SlackClient) -> bool:
    subtype = message.get("subtype")
    is_relevant = subtype in MESSAGE_SUBTYPES or subtype == "bot_message"
    return is_relevant and message.get("user") != slack.bot_user


def _people_of(slack: SlackClient, messages: Sequence[_ThreadMessage]) -> set[User]:
    """Everybody who wrote or is mentioned in one of the messages."""
    ids: set[str] = set()
    for message, content in messages:
        ids |= {str(message.get("user") or "")} | content.mentions
    return {User(slack.team, id) for id in ids - {"", slack.bot_user}}


def _authors_of(messages: Sequence[_ThreadMessage]) -> frozenset[str]:
    """People and bots that have an account."""
    return frozenset(str(message["user"]) for message, _ in messages if message.get("user"))


async def _line(
    slack: SlackClient,
    names: UserNames,
    message: dict[str, Any],
    content: MessageContent,
    of: str = "",
) -> str:
    """A message as a line with its author's name; without the name if the author is `of`, the asker."""
    author = str(message.get("user") or "")
    name = message.get("username") or (message.get("bot_profile") or {}).get("name")
    if not name and author:
        name = (await names.known([User(slack.team, author)])).get(User(slack.team, author))
    text = await names.name_ids(slack.team, content.text)
    files = [file.name or file.id for file in content.files]
    parts = [text] if text else []
    if files:
        parts.append(SHARED_FILES.format(names=", ".join(files)))
    # Continuation lines are indented, so that none can pass for another user's message.
    if author and author == of:
        return " ".join(parts)[:MAX_MESSAGE_LENGTH]
    whole = "\n  ".join(" ".join(parts).splitlines())[:MAX_MESSAGE_LENGTH]
    return f"{plain(str(name or ''), 80) or english_strings.UNKNOWN_PERSON}: {whole}"
