"""What is sent to a model: the fixed instruction, then the chat so far in order. Pure but for names and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bot import strings
from bot.chats.attachments.rules import short_name
from bot.domain import Answer, Chat, Message, Role, User
from bot.providers.base import ChatMessage, Request
from storage.chats import Chats
from storage.images import ImageBudget

IMAGE_BUDGET = ImageBudget(count=20, size=16_000_000)
"""The newest images that are sent along each time; of older ones only the names."""


class UserNames(Protocol):
    """What a briefing needs of `handlers.client.user_names`."""

    async def __call__(self, user: User) -> str | None: ...

    async def replace_ids(self, team: str, text: str) -> str:
        """The text with names in the place of people's ids."""
        ...


class Attachments(Protocol):
    """What a briefing needs of `bot.chats.attachments.loader`."""

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message]
    ) -> bool: ...
    def can_see(self, chat: Chat) -> bool: ...


class PromptBuilder:
    """Makes the request for an answer from what is stored."""

    def __init__(
        self, chats: Chats, system: str, names: UserNames, attachments: Attachments
    ) -> None:
        self._chats, self._system, self._names, self._attachments = (
            chats,
            system,
            names,
            attachments,
        )

    async def __call__(self, chat: Chat, answer: Answer) -> Request:
        """Raises AttachmentsUnreadable when there is nothing to answer but files that could not be had."""
        sees = self._attachments.can_see(chat)
        budget = IMAGE_BUDGET if sees else ImageBudget(0, 0)
        history = await self._chats.history(chat.id, answer.number, budget=budget)
        if await self._attachments.load_pending(chat, answer, history):
            history = await self._chats.history(chat.id, answer.number, budget=budget)
        authors = dict.fromkeys(m.author for m in history if m.author is not None)
        history = [
            replace(m, text=await self._names.replace_ids(chat.team, m.text)) for m in history
        ]
        names: dict[str, str] = {}
        if len(authors) > 1 or chat.thread_context:
            for author in authors:
                name = await self._names(User(chat.team, author))
                names[author] = name or strings.UNKNOWN_PERSON
        return Request(
            model=chat.model,
            system=self._system,
            messages=chat_messages(history, names, chat.thread_context, sees=sees),
        )


def chat_messages(
    history: Sequence[Message],
    names: dict[str, str],
    context: str | None = None,
    *,
    sees: bool = True,
) -> list[ChatMessage]:
    """The chat as the model reads it. With `names`, each person's message begins with who said it.

    `context`, what people had said before the chat began, goes with the first message. `sees`: whether images may be
    sent to this model.
    """
    made: list[ChatMessage] = []
    for message in history:
        text = "\n\n".join([*([message.text] if message.text else ()), *_notes(message, sees)])
        if message.role is Role.USER and message.author in names:
            text = f"{names[message.author]}: {text}"
        if message.role is Role.USER and context:
            text, context = strings.THREAD_CONTEXT.format(context=context, text=text), None
        made.append(ChatMessage(message.role, text, message.images if sees else ()))
    return made


def _notes(message: Message, sees: bool) -> list[str]:
    """What the model should know of what it does not get."""
    unseen = [*message.omitted_images, *(() if sees else (image.name for image in message.images))]
    note = strings.ATTACHED_EARLIER if sees else strings.ATTACHED_UNSEEN
    told = [note.format(name=short_name(name)) for name in unseen]
    for file in message.files:
        waits = file.problem is None and not sees
        note = strings.ATTACHED_UNSEEN if waits else strings.ATTACHED_UNREADABLE
        told.append(note.format(name=short_name(file.name)))
    return told
