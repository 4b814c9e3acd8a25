"""Builds what is sent to a model: the system prompt, then the chat so far in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from bot import english_strings
from bot.answers.running_answer import FitPrompt
from bot.chats.prompt_fitting import Excerpt, History
from bot.chats.prompt_turns import CONTINUED, THREAD_CONTEXT, chat_messages
from bot.domain import Answer, Chat, Message, Role, User
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.domain.tool_calls import ToolRound
from bot.errors import AttachmentsUnreadable, ProviderError
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.request_body import ReadAttachment
from storage.chats import Chats
from storage.statements.images import ImageBudget

IMAGE_BUDGET = ImageBudget(count=20, size=16_000_000)
"""The newest images are sent with every request, within this count and size; older ones only by name."""
NO_IMAGES = ImageBudget(0, 0)


class UserNames(Protocol):
    """What a prompt needs of `handlers.client.user_names`."""

    async def find(self, users: Iterable[User]) -> dict[User, str]:
        """The names of users that are known, or can be learned in a moment."""
        ...

    async def settle(self, team: str, texts: Iterable[str]) -> None:
        """Waits a moment for names in these texts that are being looked up."""
        ...

    async def name_ids(self, team: str, text: str) -> str:
        """The text with known names instead of user ids."""
        ...


class Attachments(Protocol):
    """What a prompt needs of `bot.chats.attachments.loader`."""

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message], unread: Collection[str]
    ) -> bool: ...
    def can_see(self, chat: Chat) -> bool: ...
    def takes_pdfs(self, chat: Chat) -> bool: ...


class Fitting(Protocol):
    """What a prompt needs of `bot.chats.prompt_fitting.PromptFitter`."""

    async def fit(
        self, chat: Chat, answer: Answer, history: History, limit: int | None = None
    ) -> Excerpt: ...


class Calls(Protocol):
    """What a prompt needs of `bot.chats.earlier_tool_calls.EarlierToolCallsReader`."""

    async def read(
        self, chat: Chat, number: int, answered: Collection[str]
    ) -> dict[str, tuple[ToolRound, ...]]: ...


class PromptBuilder:
    """Makes the request for an answer from the stored chat."""

    def __init__(
        self,
        chats: Chats,
        system_prompt: str,
        names: UserNames,
        attachments: Attachments,
        fitter: Fitting,
        calls: Calls,
        read: ReadAttachment,
        options: Callable[[Chat], ModelOptions] = lambda chat: NO_OPTIONS,
    ) -> None:
        """`read`: reads images when they are sent. `options`: how a chat's model is asked."""
        self._calls = calls
        self._read = read
        self._chats = chats
        self._system_prompt = system_prompt
        self._names = names
        self._attachments = attachments
        self._fitter = fitter
        self._options = options

    async def read(self, chat: Chat, answer: Answer) -> FitPrompt:
        """Reads the chat, and the files that are due; returns the function that makes the requests for its answer.

        Raises AttachmentsUnreadable when the message consists only of files that could not be read.
        """
        return partial(self._fit, chat, answer, await self._history(chat, answer))

    async def _fit(
        self, chat: Chat, answer: Answer, history: History, beside: int, limit: int | None
    ) -> ModelRequest:
        """`beside`: estimated tokens of what is sent besides the chat. `limit`: those of a request that was too
        long.
        """
        history = replace(history, beside=beside)
        excerpt = await self._fitter.fit(chat, answer, history, limit)
        return ModelRequest(
            model=chat.model,
            system=self._system(chat),
            messages=excerpt.turns,
            facts=excerpt.facts,
            pictures=True,
            options=self._options(chat),
            read=self._read,
        )

    async def _history(self, chat: Chat, answer: Answer) -> History:
        can_see = self._attachments.can_see(chat)
        takes_pdfs = self._attachments.takes_pdfs(chat)
        budget = IMAGE_BUDGET if can_see or takes_pdfs else NO_IMAGES
        history = await self._chats.history(chat.id, answer.number, budget=budget)
        unanswered = await self._unanswered(chat, answer.number, history)
        left_out = _left_out(unanswered)
        sent = [message for message in history if message.id not in left_out]
        if await self._attachments.load_pending(chat, answer, sent, _unread(unanswered)):
            history = await self._chats.history(chat.id, answer.number, budget=budget)
        # Both concurrently, so that they share their deadline.
        names, calls, _ = await asyncio.gather(
            self._author_names(chat, history),
            self._calls_before(chat, answer.number, history),
            self._names.settle(chat.team, (message.marked_text or "" for message in history)),
        )

        def turns_of(messages: Sequence[Message], notes: Mapping[int, str]) -> list[ChatMessage]:
            return chat_messages(
                messages,
                names,
                chat.thread_context if messages[0].number == 1 else None,
                template=CONTINUED if chat.continues else THREAD_CONTEXT,
                can_see=can_see,
                takes_pdfs=takes_pdfs,
                left_out=left_out,
                notes=notes,
                calls=calls,
            )

        messages = await self._with_names(chat, history)
        return History(messages, turns_of, self._system(chat))

    async def _with_names(self, chat: Chat, history: Sequence[Message]) -> list[Message]:
        """The messages with the names of the people they mention, if known."""
        return [
            replace(message, text=await self._names.name_ids(chat.team, message.marked_text))
            if message.marked_text
            else message
            for message in history
        ]

    def _system(self, chat: Chat) -> str:
        """The operator's prompt, then the channel's instructions as they were when the chat started; it never
        changes.
        """
        return "\n\n".join(filter(None, (self._system_prompt, chat.instructions)))

    async def turns(self, chat: Chat) -> list[ChatMessage]:
        """Everything said in a chat, without images."""
        end = chat.message_count + 1
        history = await self._chats.history(chat.id, end, budget=NO_IMAGES)
        left_out = _left_out(await self._unanswered(chat, end, history))
        names = await self._author_names(chat, history)
        calls = await self._calls_before(chat, end, history)
        history = await self._with_names(chat, history)
        return chat_messages(
            history,
            names,
            chat.thread_context,
            template=CONTINUED if chat.continues else THREAD_CONTEXT,
            can_see=False,
            takes_pdfs=False,
            left_out=left_out,
            calls=calls,
        )

    async def _calls_before(
        self, chat: Chat, number: int, history: Sequence[Message]
    ) -> dict[str, tuple[ToolRound, ...]]:
        return await self._calls.read(chat, number, {message.id for message in history})

    async def _unanswered(
        self, chat: Chat, before_number: int, history: Sequence[Message]
    ) -> Mapping[str, Message]:
        """The states of answers that are missing from the history, by the id of their message."""
        answered = sum(message.role is Role.ASSISTANT for message in history)
        if answered >= len(history) - answered - 1:  # all but the one to answer
            return {}
        return await self._chats.unanswered(chat.id, before_number)

    async def _author_names(self, chat: Chat, history: Sequence[Message]) -> dict[str, str]:
        """Names by user id; empty if the model need not know who wrote the messages."""
        authors = dict.fromkeys(m.author for m in history if m.author is not None)
        if len(authors) <= 1 and not chat.joined_a_thread:
            return {}
        known = {m.author: m.author_name for m in reversed(history) if m.author and m.author_name}
        found = await self._names.find(
            User(chat.team, author) for author in authors if author not in known
        )
        new = {user.id: name for user, name in found.items() if name}
        if new:  # a name that changes later would change the whole prompt
            await self._chats.keep_author_names(chat.id, new)
        return dict.fromkeys(authors, english_strings.UNKNOWN_PERSON) | new | known


def _left_out(unanswered: Mapping[str, Message]) -> frozenset[str]:
    """Ids of earlier messages that would make this answer fail too, or that are answered after it."""
    return frozenset(
        question_id
        for question_id, ended in unanswered.items()
        if not ended.status.ended or ProviderError.class_of(ended.error).refuses_message
    )


def _unread(unanswered: Mapping[str, Message]) -> frozenset[str]:
    """Ids of earlier messages that consisted only of unreadable files."""
    code = AttachmentsUnreadable.code
    return frozenset(id for id, ended in unanswered.items() if ended.error == code)
