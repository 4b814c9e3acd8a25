"""Makes the sink of an answer: a Slack thread, for chats that have one, with decisions about its appearance."""

from __future__ import annotations

from functools import partial
from typing import Literal

from bot.answers.sink import AnswerControl, AnswerSink, NullSink
from bot.chats.models import ModelChoice
from bot.domain import Answer, Chat, User
from bot.errors import ChatNotFound
from bot.observability import get_logger
from handlers.answers.options import AnswerOptions
from handlers.answers.writer import AnswerWriter
from handlers.client.errors import NotInstalled
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.views import answer_footer
from storage.answers import Answers
from storage.chats import Chats

log = get_logger(__name__)

MAX_ANNOUNCED_MESSAGES_LEFT = 10
"""The footer says how many messages a chat may still hold when this many or fewer are left."""
Mode = Literal["auto", "native", "edit"]


class SlackSinkFactory:
    """The product's `SinkFactory`: Slack for chats with a thread, nowhere for the others."""

    def __init__(
        self,
        workspaces: WorkspaceResolver,
        models: ModelChoice,
        chats: Chats,
        answers: Answers,
        names: UserNames,
        mode: Mode,
        max_messages: int,
    ) -> None:
        self._workspaces = workspaces
        self._models = models
        self._chats = chats
        self._answers = answers
        self._names = names
        self._mode = mode
        self._max_messages = max_messages

    async def __call__(self, chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
        if chat.thread is None:
            return NullSink()
        try:
            client = await self._workspaces.client_for(chat.team)
        except NotInstalled:
            log.warning("workspace_not_installed", chat=chat.id, team=chat.team)
            control.stop()  # the answer cannot be shown there, so no model is asked
            return NullSink()
        return AnswerWriter(
            client.fenced(control.confirm),
            chat,
            answer,
            control,
            await self._options(client, chat, answer),
        )

    async def _options(self, slack: SlackClient, chat: Chat, answer: Answer) -> AnswerOptions:
        left = self._max_messages - chat.message_count
        left = left if left >= 2 else 0  # a message is stored only together with its answer
        return AnswerOptions(
            native_streaming=await self._may_stream(chat, answer),
            markdown_text=slack.knows_markdown_text(),
            model_label=self._models.label(chat.model),
            messages_left=left if left <= MAX_ANNOUNCED_MESSAGES_LEFT else None,
            question_link=await self._question_link(slack, chat, answer),
            language=await self._names.language(User(chat.team, chat.owner)),
            find_other_messages=partial(self._find_recorded_messages, chat),
        )

    async def _question_link(self, slack: SlackClient, chat: Chat, answer: Answer) -> str:
        if not answer.among_several or answer.question_ts is None or chat.thread is None:
            return ""
        try:
            question = await self._chats.message(answer.question_id)
        except ChatNotFound:  # it has just been erased
            return ""
        thread = chat.thread
        return answer_footer.question_link(
            question.text, slack.permalink(thread.channel, answer.question_ts, thread.ts)
        )

    async def _find_recorded_messages(self, chat: Chat) -> frozenset[str]:
        header = {chat.header_ts} if chat.header_ts else set()
        return await self._answers.slack_timestamps(chat.id) | header

    async def _may_stream(self, chat: Chat, answer: Answer) -> bool:
        """Whether to use a native stream: Slack shows it live only to its recipient, so with others in the thread edits
        are better.
        """
        if self._mode != "auto" or answer.asker is None:
            return self._mode == "native" and answer.asker is not None
        return not chat.joined_a_thread and await self._chats.author_count(chat.id) <= 1
