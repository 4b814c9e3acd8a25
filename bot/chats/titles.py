"""Writes a chat's title after its first answer: one small model call, which delays nothing and may fail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from bot.answers.events import EventPublisher
from bot.domain import (
    Answer,
    AnswerResult,
    Chat,
    ModelRef,
    Role,
    Status,
    StreamEvent,
    TitleBy,
)
from bot.errors import ProviderError
from bot.observability import get_logger
from bot.providers.base import ChatMessage, ModelRequest, whole_text
from bot.tasks import Tasks
from bot.timing import Timing
from storage.chats import Chats
from storage.images import ImageBudget

log = get_logger(__name__)

TITLE_INSTRUCTION = (
    "Generate a short title (2–8 words) for a conversation, based on its first message and its first answer. "
    "Reply with the title alone: one line, in the language of the message, without quotes or a full stop at its end."
)
TITLE_REQUEST = "Now write the title of this conversation."
MIN_WORDS = 2
MAX_WORDS = 8
MAX_CHARACTERS = 80
EXCERPT_LENGTH = 2_000
"""Characters of the question, and of the answer, that the model reads: enough for a title, and cheap."""
MAX_REPLY_LENGTH = 1_000
"""Characters of the model's reply that are waited for: the title is in its first line."""
_PREFIX = re.compile(r"^\s*(?:#+\s*)?title\s*[:：-]\s*", re.IGNORECASE)
_QUOTES = "\"'“”‘’«»`*_ \t"
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{2}"
)
"""Two characters of a script without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


class Models(Protocol):
    """What titles need of `bot.providers.registry`."""

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]: ...


ShowTitle = Callable[[Chat], Awaitable[None]]
"""Updates everything that shows the chat's title."""


class Titles:
    """Gives a chat the title that a model writes, unless a user has given it one."""

    def __init__(
        self,
        chats: Chats,
        models: Models,
        publisher: EventPublisher,
        tasks: Tasks,
        *,
        model: Callable[[], ModelRef | None],
        timing: Timing = Timing(),
    ) -> None:
        """`model`: the model that writes the titles; None: the chat's own."""
        self._chats = chats
        self._models = models
        self._publisher = publisher
        self._tasks = tasks
        self._model = model
        self._longest = timing.longest_title
        self._observers: list[ShowTitle] = []

    def on_title(self, observer: ShowTitle) -> None:
        """`observer` is called with each chat that has got a title."""
        self._observers.append(observer)

    async def after_answer(self, chat: Chat, answer: Answer, result: AnswerResult) -> None:
        """Starts writing the title, if this is the chat's first answer that succeeded."""
        if chat.title_by is TitleBy.DEFAULT and result.status is Status.DONE:
            self._tasks.start(self._write_title(chat, answer, result), name="title")

    async def _write_title(self, chat: Chat, answer: Answer, result: AnswerResult) -> None:
        history = await self._chats.history(chat.id, answer.number, budget=ImageBudget(0, 0))
        if any(message.role is Role.ASSISTANT for message in history):
            return
        question = next((m.text for m in reversed(history) if m.role is Role.USER), "")
        try:
            title = clean_title(
                await self._ask_model(self._model() or chat.model, question, result.text)
            )
        except ProviderError as error:
            log.info("title_failed", chat=chat.id, code=error.code)
            self._publisher.title_failed(chat)
            return
        if title and await self._chats.set_title(chat.id, title, TitleBy.MODEL):
            self._publisher.title_changed(chat, title)
            titled = await self._chats.get(chat.id)
            for observer in self._observers:
                await observer(titled)
        else:
            self._publisher.title_failed(chat)

    async def _ask_model(self, model: ModelRef, question: str, answer: str) -> str:
        messages = [
            ChatMessage(Role.USER, question[:EXCERPT_LENGTH]),
            ChatMessage(Role.ASSISTANT, answer[:EXCERPT_LENGTH]),
            ChatMessage(Role.USER, TITLE_REQUEST),
        ]
        request = ModelRequest(
            model=model,
            system=TITLE_INSTRUCTION,
            messages=messages,
            max_characters=MAX_REPLY_LENGTH,
            max_seconds=self._longest,
        )
        return await whole_text(self._models.stream(request))


def clean_title(text: str) -> str:
    """The title in a model's reply: two to eight words of its first line, without quotes, "Title:" and full stop.

    Empty for a single word, which is no title.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = _PREFIX.sub("", line.replace("**", "")).strip(_QUOTES).rstrip(".。").strip(_QUOTES)
    line = re.sub(r"<[!@#]([^>|]*)(?:\|([^>]*))?>", lambda m: m[2] or m[1], line)
    words = line.split()
    if len(words) < MIN_WORDS and not _UNSPACED.search(line):
        return ""
    kept = " ".join(words[:MAX_WORDS])
    return kept if len(kept) <= MAX_CHARACTERS else kept[: MAX_CHARACTERS - 1].rstrip() + "…"
