"""Chooses how an answer is shown in Slack."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal

from bot.answers.sink import AnswerControl, AnswerSink, NullSink
from bot.chats.service import ChatService
from bot.domain import Answer, Chat
from bot.observability import get_logger
from handlers.answers.options import AnswerOptions
from handlers.answers.writer import AnswerWriter
from handlers.client.errors import NotInstalled
from handlers.client.workspaces import WorkspaceResolver
from handlers.threads.api_echo import ApiEcho
from handlers.threads.queued_reaction import QueuedReactions
from storage.answers import Answers
from storage.chats import Chats

log = get_logger(__name__)

ANNOUNCE = 10
"""Messages left in a chat from which on the footer says so."""
SHOWN_WITHIN = 3.0
"""Seconds that an answer waits for its question, said through a program, to be shown in the thread."""
Mode = Literal["auto", "native", "edit"]


class SlackSinkFactory:
    """A `SinkFactory`: Slack for chats that stand in a thread, nowhere for the others."""

    def __init__(
        self,
        workspaces: WorkspaceResolver,
        service: ChatService,
        chats: Chats,
        answers: Answers,
        queued_reactions: QueuedReactions,
        via: ApiEcho,
        mode: Mode,
    ) -> None:
        self._workspaces, self._service, self._chats, self._answers = (
            workspaces,
            service,
            chats,
            answers,
        )
        self._queued_reactions, self._via, self._mode = queued_reactions, via, mode

    async def __call__(self, chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
        if chat.thread is None:
            return NullSink()
        try:
            slack = (await self._workspaces.client_for(chat.team)).guarded(control.confirm)
        except NotInstalled:
            log.warning("workspace_gone", chat=chat.id, team=chat.team)
            control.stop()  # nobody can read it there, so no model is asked
            return NullSink()
        left = self._service.left(chat)
        options = AnswerOptions(
            native=await self._native(chat, answer),
            model=self._service.models.label(chat.model),
            left=left if left <= ANNOUNCE else None,
            others=partial(self._others, chat),
        )
        sink = AnswerWriter(slack, chat, answer, control, options)
        if answer.question_ts is None:
            showing = asyncio.create_task(
                self._via.show(slack, chat, answer), name="said via a program"
            )
            await asyncio.wait(
                [showing], timeout=SHOWN_WITHIN
            )  # the question before its answer, if Slack is quick
            sink.beside(_finish(showing))
        if answer.was_queued and answer.question_ts:
            sink.beside(
                self._queued_reactions.lift(
                    slack, chat.thread.channel, answer.question_ts, answer.id
                )
            )
        return sink

    async def _others(self, chat: Chat) -> frozenset[str]:
        return await self._answers.slack_timestamps(chat.id) | (
            {chat.header_ts} if chat.header_ts else set()
        )

    async def _native(self, chat: Chat, answer: Answer) -> bool:
        """Slack shows a native stream live to its recipient alone: with others in the thread, edits serve all."""
        if self._mode != "auto" or answer.asker is None:
            return self._mode == "native" and answer.asker is not None
        return not chat.thread_context and await self._chats.author_count(chat.id) <= 1


async def _finish(task: asyncio.Task[None]) -> None:
    await task
