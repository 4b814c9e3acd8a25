"""Writes a chat's title: one small model call, which delays nothing and may fail.

It is a chore of the chat's first answer with text (`Chore.TITLE`), and is tried once for each further answer as long as
the chat has no title.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bot.answers.after_work import DONE, ChoreJob, ChoreOutcome, ChoreResult
from bot.answers.events import EventPublisher
from bot.chats.auxiliary_calls import AuxiliaryCalls
from bot.chats.title_text import clean_title
from bot.domain import Answer, Chat, Message, ModelRef, Role, TitleBy
from bot.domain.chores import Chore
from bot.errors import ModelNotAllowed, ProviderError
from bot.observability import get_logger
from bot.providers.base import ChatMessage, ModelRequest
from bot.timing import Timing
from bot.usage.calls import CallKind, Payer, payer_of
from storage.chats import Chats
from storage.statements.images import ImageBudget

log = get_logger(__name__)

TITLE_INSTRUCTION = (
    "Generate a short title (2–8 words) for a conversation, based on its first message and its first answer. "
    "Reply with the title alone: one line, in the language of the message, without quotes or a full stop at its end."
)
ANSWERED_BY_PICTURE = "(a picture)"
TITLE_REQUEST = "Now write the title of this conversation."
EXCERPT_LENGTH = 2_000
"""Characters of the question, and of the answer, that the model reads: enough for a title, and cheap."""
MAX_REPLY_LENGTH = 1_000
"""Characters of the model's reply that are read: the title is in its first line."""


UNAVAILABLE_TTL = 3600.0
"""Seconds for which nobody waits for a title from a model that failed to write one. It is asked all the same; once it
writes one, it is waited for again.
"""
GRACE = 5.0
"""Seconds that a call may take beyond `Timing.longest_title`, the time at which a title is cut."""
SLOW_AFTER = 5.0
"""Seconds after which a model that is still writing a title counts as failing, until it has finished."""
_TITLED = ChoreResult(ChoreOutcome.DONE, then=(Chore.SHOW_TITLE, Chore.NAME_SESSION))


class Titles:
    """Gives a chat a title written by a model, unless a user has given it one."""

    def __init__(
        self,
        chats: Chats,
        auxiliary_calls: AuxiliaryCalls,
        publisher: EventPublisher,
        *,
        model: Callable[[], ModelRef | None],
        writes: Callable[[ModelRef], bool],
        timing: Timing = Timing(),
    ) -> None:
        """`model`: the model that writes the titles; None: the chat's own, if it `writes` at all."""
        self._chats = chats
        self._auxiliary_calls = auxiliary_calls
        self._publisher = publisher
        self._model = model
        self._writes = writes
        self._longest = timing.longest_title
        self._in_progress: dict[str, tuple[Chat, ModelRef]] = {}
        """Chats whose title is being written, by their ids, with the model that writes it."""
        self._failed_at: dict[ModelRef, float] = {}
        self._succeeded_at: dict[ModelRef, float] = {}

    async def write(self, job: ChoreJob) -> ChoreResult:
        """Does `Chore.TITLE`. Raises StorageError."""
        chat = job.chat
        if chat.title_by is TitleBy.MODEL:  # it was written, but perhaps not shown
            return _TITLED
        if chat.title_by is TitleBy.PERSON or chat.id in self._in_progress:
            return DONE
        try:
            model = self._model() or chat.model
        except ModelNotAllowed as error:
            log.warning("title_model_not_offered", model=str(error))
            self._publisher.title_failed(chat)
            return DONE
        self._in_progress[chat.id] = chat, model
        try:
            return await self._write(chat, model, job.answer)
        finally:
            del self._in_progress[chat.id]

    async def _write(self, chat: Chat, model: ModelRef, answer: Answer) -> ChoreResult:
        if not self._writes(model):  # it would draw the title
            self._publisher.title_failed(chat)
            return DONE
        if self._has_just_failed(model):
            self._publisher.title_failed(chat)  # nobody need wait, although it is tried
        history = await self._chats.history(chat.id, answer.number + 1, budget=ImageBudget(0, 0))
        payer = payer_of(chat, answer.asker or chat.owner)
        people = _people(history)
        title = await self._ask(payer, model, history) if people else ""
        if title and await self._chats.set_title(chat.id, title, TitleBy.MODEL, people=people):
            self._publisher.title_changed(chat, title)
            return _TITLED
        self._publisher.title_failed(chat)
        return DONE

    async def _ask(self, payer: Payer, model: ModelRef, history: list[Message]) -> str:
        """The title; empty if the model did not write a usable one."""
        began = time.monotonic()
        slow = asyncio.get_running_loop().call_later(
            SLOW_AFTER, self._mark_slow, payer.chat_id, model, began
        )
        question, answer = _first(history, Role.USER), _first(history, Role.ASSISTANT)
        try:
            async with asyncio.timeout(self._longest + GRACE):
                text = await self._ask_model(payer, model, question, answer)
        except (ProviderError, TimeoutError) as error:
            log.info("title_failed", chat=payer.chat_id, reason=type(error).__name__)
            self._mark_failed(model, began)
            return ""
        finally:
            slow.cancel()
        self._failed_at.pop(model, None)
        self._succeeded_at[model] = time.monotonic()
        return clean_title(text)

    def _mark_slow(self, chat_id: str, model: ModelRef, began: float) -> None:
        """Lets nobody wait any longer for this title, nor for any that a failing model is writing, however late."""
        failing = self._mark_failed(model, began)
        for chat, its_model in self._in_progress.values():
            if its_model == model and (failing or chat.id == chat_id):
                self._publisher.title_failed(chat)

    def _mark_failed(self, model: ModelRef, began: float) -> bool:
        """False if the model has written a title since that call began: it says no more about the model."""
        if began <= self._succeeded_at.get(model, -UNAVAILABLE_TTL):
            return False
        self._failed_at[model] = time.monotonic()
        return True

    def _has_just_failed(self, model: ModelRef) -> bool:
        return time.monotonic() - self._failed_at.get(model, -UNAVAILABLE_TTL) < UNAVAILABLE_TTL

    async def _ask_model(self, payer: Payer, model: ModelRef, question: str, answer: str) -> str:
        messages = [
            ChatMessage(Role.USER, question[:EXCERPT_LENGTH]),
            ChatMessage(Role.ASSISTANT, answer[:EXCERPT_LENGTH] or ANSWERED_BY_PICTURE),
            ChatMessage(Role.USER, TITLE_REQUEST),
        ]
        request = ModelRequest(
            model=model,
            system=TITLE_INSTRUCTION,
            messages=messages,
            max_characters=MAX_REPLY_LENGTH,
            max_seconds=self._longest,
        )
        return await self._auxiliary_calls.text(request, CallKind.TITLE, payer)


def _people(history: list[Message]) -> int:
    """`people` of the question on which the title would be based; 0 if its author has been erased."""
    question = next((message for message in history if message.role is Role.USER), None)
    return 0 if question is None or question.author is None else question.people


def _first(history: list[Message], role: Role) -> str:
    return next((message.text for message in history if message.role is role), "")
