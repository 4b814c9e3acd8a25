"""What a person is told privately about the files of a message."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from bot import strings
from bot.chats.attachments import rules
from bot.chats.attachments.rules import AttachmentReport
from bot.chats.models import ModelChoice
from bot.domain import Chat, Message, ModelRef, SharedFile
from bot.tasks import Tasks
from handlers.client.errors import NotInstalled
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.text import mrkdwn_escape, plain


class FileNotices:
    """Every sentence about files, whispered to the person who shared them."""

    def __init__(self, models: ModelChoice, workspaces: WorkspaceResolver, tasks: Tasks) -> None:
        self._models, self._workspaces, self._tasks = models, workspaces, tasks

    def tell(self, chat: Chat, message: Message, report: AttachmentReport) -> None:
        """What could not be used of a message that is being answered. Returns at once (`enclosures.Tell`)."""
        if chat.thread is not None and message.author is not None:
            self._tasks.start(self._tell(chat, message, report), name="about files")

    async def _tell(self, chat: Chat, message: Message, report: AttachmentReport) -> None:
        assert chat.thread is not None
        assert message.author is not None
        said = rules.report_sentences(report, shown)
        if report.unseen_images:
            names = rules.join_names([shown(name) for name in report.unseen_images])
            sentence = strings.SEES_NOT.format(model=self._label(chat.model), names=names)
            said.append(f"{sentence}{self._others(strings.SEES_NOT_OTHERS)}")
        with suppress(NotInstalled):
            slack = await self._workspaces.client_for(chat.team)
            await self.whisper(
                slack, chat.thread.channel, chat.thread.ts, message.author, "\n".join(said)
            )

    def unreadable(self, files: tuple[SharedFile, ...]) -> str:
        """Why these files, as far as their descriptions tell, cannot be read; empty when they can."""
        report = AttachmentReport(tuple(file for file in files if file.problem is not None))
        return "\n".join(rules.report_sentences(report, shown))

    def cannot_see(self, model: ModelRef) -> str:
        """A message of images alone, for a model that cannot see."""
        return strings.SEES_NOT_ALONE.format(model=self._label(model)) + self._others(
            strings.SEES_NOT_CHOOSE
        )

    async def whisper(
        self, slack: SlackClient, channel: str, thread: str | None, user: str, text: str
    ) -> None:
        where: dict[str, Any] = {"thread_ts": thread} if thread else {}
        await slack.try_call("chat.postEphemeral", channel=channel, user=user, text=text, **where)

    def _label(self, model: ModelRef) -> str:
        return shown(self._models.label(model))

    def _others(self, sentence: str) -> str:
        seeing = [shown(label) for label in self._models.vision_models()]
        return f" {sentence.format(models=', '.join(seeing))}" if seeing else ""


def shown(name: str) -> str:
    """A name as it can stand in a sentence: whatever is in it, it neither pings nor links."""
    return mrkdwn_escape(plain(rules.short_name(name), 100))
