"""What programs may do with the chats of the person they act for: the same chats, by id instead of by thread."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bot import strings
from bot.answers.events import EventPublisher
from bot.chats.attachments import rules
from bot.chats.models import ModelChoice
from bot.domain import (
    DEFAULT_TITLE,
    Answer,
    Chat,
    Image,
    Message,
    ModelInfo,
    ModelRef,
    Role,
    Status,
    User,
)
from bot.errors import ChatBusy, ChatNotFound, InvalidInput, NothingToRetry
from storage.answers import Answers
from storage.chat_list import ChatPage
from storage.chats import Chats
from storage.messages import NewMessage, StoredMessage
from storage.people import People

API_SOURCE = "api:"
"""Begins the source of every message that came from a program."""


@dataclass(frozen=True, slots=True)
class ApiMessage:
    """What a program says for its person."""

    text: str = field(repr=False)
    images: tuple[Image, ...] = ()
    key: str | None = None
    """Makes a repetition harmless: the same key in the same chat is the same message."""

    def to_new_message(self, user: User) -> NewMessage:
        source = (
            f"{API_SOURCE}{user.id}:{self.key if self.key is not None else secrets.token_hex(16)}"
        )
        return NewMessage(text=self.text, author=user.id, source=source, images=self.images)


@dataclass(frozen=True, slots=True)
class MessagePair:
    """A person's message and its answer, as they stand."""

    chat: Chat
    question: Message
    answer: Message

    @property
    def is_first(self) -> bool:
        return self.question.number == 1


class ApiService:
    """Somebody else's chat does not exist here: ChatNotFound. All raise StorageError when the database fails."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        people: People,
        models: ModelChoice,
        publisher: EventPublisher,
        wake: Callable[[str], None],
        limit: int,
    ) -> None:
        self._chats, self._answers, self._people, self._publisher, self._wake = (
            chats,
            answers,
            people,
            publisher,
            wake,
        )
        self.models = models
        self.limit = limit

    async def create(self, user: User, title: str | None = None, model: str | None = None) -> Chat:
        """An empty chat; lists show it from its first message on. Raises ModelNotAllowed."""
        ref = await self._model(user, model)
        return await self._chats.create(
            team=user.team, owner=user.id, model=ref, title=title or DEFAULT_TITLE
        )

    async def start(self, user: User, post: ApiMessage, model: str | None = None) -> StoredMessage:
        """A chat with its first message. Raises ModelNotAllowed, InvalidInput."""
        ref = await self._model(user, model)
        self._must_see(ref, post)
        post = await _fitting(post)
        said = await self._chats.start(
            team=user.team,
            owner=user.id,
            model=ref,
            message=post.to_new_message(user),
            limit=self.limit,
        )
        self._tell(said)
        return said

    async def send(self, user: User, chat_id: str, post: ApiMessage) -> StoredMessage:
        """The next message. Raises ChatBusy while an answer is being written, LimitReached, InvalidInput."""
        chat = await self.chat(user, chat_id)
        self._must_see(chat.model, post)
        post = await _fitting(post)
        said = await self._chats.add_message(
            chat.id, post.to_new_message(user), limit=self.limit, reject_if_busy=True
        )
        self._tell(said)
        return said

    async def retry(self, user: User, chat_id: str, message_id: str) -> Answer:
        """Answers a message again, named by itself or by its failed answer.

        Raises NothingToRetry when that answer has not failed (any more), ChatBusy when another one is being written.
        """
        chat = await self.chat(user, chat_id)
        answer = await self._answer_of(chat, message_id)
        if await self._answers.running(chat.id) or await self._answers.next_waiting(chat.id):
            raise ChatBusy(chat.id)
        if answer.status is not Status.FAILED:
            raise NothingToRetry(answer.id)
        again = await self._answers.retry(answer.id)
        if again is None:
            raise NothingToRetry(answer.id)
        self._wake(chat.id)
        return again

    async def chat(self, user: User, chat_id: str) -> Chat:
        return await self._chats.get_for(user, checked_id(chat_id))

    async def messages(self, chat: Chat) -> list[Message]:
        """All of them, in order."""
        return await self._chats.messages(chat.id)

    async def pair_of(self, answer: Answer) -> MessagePair:
        """The answer and its question as they stand now."""
        chat = await self._chats.get(answer.chat_id)
        question, written = await self.pair(answer.question_id, answer.id)
        return MessagePair(chat, question, written)

    async def pair(self, question_id: str, answer_id: str) -> tuple[Message, Message]:
        """A message and its answer."""
        return await self._chats.message(question_id), await self._chats.message(answer_id)

    async def model_label(self, chat_id: str) -> str:
        """What people call the chat's model."""
        return self.models.label((await self._chats.get(chat_id)).model)

    async def list_chats(
        self, user: User, *, limit: int, cursor: str | None = None, search: str | None = None
    ) -> ChatPage:
        """A page of the person's chats, the most recently active first. Raises InvalidInput for a foreign cursor."""
        return await self._chats.list_for(user, limit=limit, cursor=cursor, words=search)

    async def newest_message_ids(self, *chats: Chat) -> dict[str, str]:
        """For each chat that has messages, the id of the newest."""
        return await self._chats.newest_message_ids([chat.id for chat in chats])

    async def is_unfinished(self, answer_id: str | None) -> bool:
        """Whether this is an answer that has not ended."""
        found = await self._answers.by_ids([answer_id]) if answer_id else []
        return any(not answer.status.ended for answer in found)

    async def preselected(self, user: User) -> ModelInfo | None:
        return await self.models.preselected(user)

    async def _model(self, user: User, name: str | None) -> ModelRef:
        if name is not None:
            return self.models.by_name(name).ref
        return (await self.models.preselected(user) or self.models.default()).ref

    async def _answer_of(self, chat: Chat, message_id: str) -> Answer:
        message = await self._chats.message(checked_id(message_id))
        if message.chat_id != chat.id:
            raise ChatNotFound("no such message")
        if message.role is Role.ASSISTANT:
            return await self._answers.get(message.id)
        answer = await self._answers.for_message(message.id)
        assert answer is not None  # stored in the same transaction
        return answer

    def _must_see(self, model: ModelRef, post: ApiMessage) -> None:
        info = self.models.info(model)
        if post.images and not (info and info.vision):
            raise InvalidInput(strings.MODEL_CANNOT_SEE.format(model=self.models.label(model)))

    def _tell(self, said: StoredMessage) -> None:
        if not said.duplicate:
            self._publisher.message_added(said)
        self._wake(said.chat.id)


def as_waiting(answer: Message) -> Message:
    """The answer as it was stored: whatever has been written by now is told piece by piece."""
    return replace(answer, text="", status=Status.WAITING, error=None)


async def _fitting(post: ApiMessage) -> ApiMessage:
    """The same with its images as models take them. Raises InvalidInput for broken ones."""
    if not post.images:
        return post
    return replace(post, images=await asyncio.to_thread(rules.fit_images, post.images))


def checked_id(text: str) -> str:
    """The id, if it can be one: anything else need not bother the database. Raises ChatNotFound."""
    if len(text) == 32 and text.isascii() and text.isalnum():
        return text
    raise ChatNotFound("no such id")
