"""Private notices to a user about the files of their message."""

from __future__ import annotations

from contextlib import suppress

from bot import strings
from bot.chats.attachments import rules
from bot.chats.attachments.rules import AttachmentReport
from bot.chats.models import ModelChoice
from bot.domain import Chat, Message, ModelRef, SharedFile, User
from bot.runtime.tasks import Tasks
from handlers.client.errors import NotInstalled
from handlers.client.user_names import UserNames
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.threads.private_notices import post_ephemeral_once

MAX_NAME_LENGTH = 100


class FileNotices:
    """The sentences about files, and posting them once a message's files are loaded."""

    def __init__(
        self, models: ModelChoice, workspaces: WorkspaceResolver, names: UserNames, tasks: Tasks
    ) -> None:
        self._models = models
        self._names = names
        self._workspaces = workspaces
        self._tasks = tasks

    def notify(self, chat: Chat, message: Message, report: AttachmentReport) -> None:
        """Tells the author which files of a message cannot be used for its answer, and why. Returns immediately."""
        if chat.thread is not None and message.author is not None:
            self._tasks.start(self._notify(chat, message, report), name="file notice")

    async def _notify(self, chat: Chat, message: Message, report: AttachmentReport) -> None:
        assert chat.thread is not None
        assert message.author is not None
        async with self._names.using_language_of(User(chat.team, message.author)):
            sentences = self._sentences(chat, report)
        with suppress(NotInstalled):
            slack = await self._workspaces.client_for(chat.team)
            await post_ephemeral_once(
                slack,
                message.id,
                channel=chat.thread.channel,
                user=message.author,
                text="\n".join(sentences),
                thread=chat.thread.ts,
            )

    def _sentences(self, chat: Chat, report: AttachmentReport) -> list[str]:
        sentences = rules.report_sentences(report, safe_name)
        if report.unseen_images:
            names = rules.join_names([safe_name(name) for name in report.unseen_images])
            sentence = strings.NO_VISION.format(model=self._label(chat.model), names=names)
            sentences.append(f"{sentence}{self._seeing_models(strings.NO_VISION_SUGGESTIONS)}")
        return sentences

    def unreadable(self, files: tuple[SharedFile, ...]) -> str:
        """Why files cannot be read, as far as Slack's descriptions show; empty if they show no problem."""
        report = AttachmentReport(tuple(file for file in files if file.problem is not None))
        return "\n".join(rules.report_sentences(report, safe_name))

    def cannot_see(self, model: ModelRef) -> str:
        """Says that a message consists of images, and that this model cannot see."""
        sentence = strings.NO_VISION_AND_NO_TEXT.format(model=self._label(model))
        return sentence + self._seeing_models(strings.NO_VISION_CHOOSE)

    def _label(self, model: ModelRef) -> str:
        return safe_name(self._models.label(model))

    def _seeing_models(self, sentence: str) -> str:
        labels = [safe_name(label) for label in self._models.vision_models()]
        return f" {sentence.format(models=', '.join(labels))}" if labels else ""


def safe_name(name: str) -> str:
    """A name for use in a sentence: on one line, without anything that pings or links."""
    return mrkdwn_escape(plain(rules.short_name(name), MAX_NAME_LENGTH))
