"""Builds what is sent to a model: the system prompt, then the chat so far in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bot import strings
from bot.chats.attachments.rules import short_name
from bot.domain import Answer, Chat, Message, Role, User
from bot.providers.base import ChatMessage, ModelRequest
from storage.chats import Chats
from storage.images import ImageBudget

IMAGE_BUDGET = ImageBudget(count=20, size=16_000_000)
"""The newest images are sent with every request, up to this many and this many bytes; of older ones only the names."""
NO_IMAGES = ImageBudget(0, 0)

THREAD_CONTEXT = (
    "What people said in this thread before:\n{context}\n\nThe message to answer:\n{text}"
)
"""The first message of a chat that began in an existing thread."""
ATTACHED_EARLIER = "[Attached: {name}, an image that was shown earlier and is not repeated]"
ATTACHED_UNSEEN = "[Attached: {name}, an image that you cannot see]"
ATTACHED_UNREADABLE = "[Attached: {name}, which could not be read]"


class UserNames(Protocol):
    """What a prompt needs of `handlers.client.user_names`."""

    async def __call__(self, user: User) -> str | None: ...

    async def replace_ids(self, team: str, text: str) -> str:
        """The text with names instead of user ids."""
        ...


class Attachments(Protocol):
    """What a prompt needs of `bot.chats.attachments.loader`."""

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message]
    ) -> bool: ...
    def can_see(self, chat: Chat) -> bool: ...


class PromptBuilder:
    """Makes the request for an answer from the stored chat."""

    def __init__(
        self, chats: Chats, system_prompt: str, names: UserNames, attachments: Attachments
    ) -> None:
        self._chats = chats
        self._system_prompt = system_prompt
        self._names = names
        self._attachments = attachments

    async def build(self, chat: Chat, answer: Answer) -> ModelRequest:
        """Raises AttachmentsUnreadable when the message consists of files that could not be read, and nothing else."""
        can_see = self._attachments.can_see(chat)
        budget = IMAGE_BUDGET if can_see else NO_IMAGES
        history = await self._chats.history(chat.id, answer.number, budget=budget)
        if await self._attachments.load_pending(chat, answer, history):
            history = await self._chats.history(chat.id, answer.number, budget=budget)
        messages = [
            replace(message, text=await self._names.replace_ids(chat.team, message.text))
            for message in history
        ]
        names = await self._author_names(chat, history)
        return ModelRequest(
            model=chat.model,
            system=self._system_prompt,
            messages=chat_messages(messages, names, chat.thread_context, can_see=can_see),
        )

    async def _author_names(self, chat: Chat, history: Sequence[Message]) -> dict[str, str]:
        """Names by user id; empty where the model need not know who wrote the messages."""
        authors = dict.fromkeys(m.author for m in history if m.author is not None)
        if len(authors) <= 1 and not chat.thread_context:
            return {}
        return {
            author: await self._names(User(chat.team, author)) or strings.UNKNOWN_PERSON
            for author in authors
        }


def chat_messages(
    history: Sequence[Message],
    names: dict[str, str],
    context: str | None = None,
    *,
    can_see: bool = True,
) -> list[ChatMessage]:
    """The chat as the model reads it. A message begins with its author's name where `names` has it.

    `context`: what people said in the thread before the chat began; it goes with the first message. `can_see`: whether
    the model accepts images.
    """
    made: list[ChatMessage] = []
    for message in history:
        text = "\n\n".join([*([message.text] if message.text else ()), *_notes(message, can_see)])
        if message.role is Role.USER and message.author in names:
            text = f"{names[message.author]}: {text}"
        if message.role is Role.USER and context:
            text = THREAD_CONTEXT.format(context=context, text=text)
            context = None
        made.append(ChatMessage(message.role, text, message.images if can_see else ()))
    return made


def _notes(message: Message, can_see: bool) -> list[str]:
    """Sentences for the model about files that it does not get."""
    unseen = [
        *message.omitted_images,
        *(() if can_see else (image.name for image in message.images)),
    ]
    template = ATTACHED_EARLIER if can_see else ATTACHED_UNSEEN
    notes = [template.format(name=short_name(name)) for name in unseen]
    for file in message.files:
        is_unseen = file.problem is None and not can_see
        template = ATTACHED_UNSEEN if is_unseen else ATTACHED_UNREADABLE
        notes.append(template.format(name=short_name(file.name)))
    return notes
