"""Files that people shared, brought in when an answer is due: images to keep, texts that become part of the message.

A message is stored with the mere descriptions of its files, so that nothing is lost while they are fetched: whoever
takes the answer up after a crash fetches them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.chats.attachments import rules
from bot.chats.attachments.images import fit_image, image_type
from bot.chats.attachments.rules import (
    MAX_FILE_BYTES,
    MAX_TEXT_BYTES,
    AttachmentReport,
    FileKind,
    TextFile,
)
from bot.chats.attachments.text import decode_text
from bot.chats.models import ModelChoice
from bot.domain import Answer, Chat, Image, Message, SharedFile
from bot.errors import AttachmentsUnreadable, FileProblem
from storage.chats import Chats

MAX_PARALLEL_DOWNLOADS = 4
"""Files that one process fetches at the same time: each may take twenty megabytes of memory."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """The bytes of a file, or its beginning (`cut`)."""

    data: bytes
    truncated: bool = False


class FileSource(Protocol):
    """Where shared files are."""

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """The file with all that must be known to fetch it. Raises FileProblem."""
        ...

    async def fetch(
        self, team: str, file: SharedFile, most: int, *, thumb: bool = False
    ) -> FetchedFile:
        """The first `most` bytes of it, or of its small picture. Raises FileProblem."""
        ...


NotifyAuthor = Callable[[Chat, Message, AttachmentReport], None]
"""Tells the author privately what could not be used. Returns at once."""
LoadResult = Image | TextFile | SharedFile
"""What became of a file: the last one with its problem."""


class AttachmentLoader:
    def __init__(
        self, chats: Chats, models: ModelChoice, source: FileSource, tell: NotifyAuthor
    ) -> None:
        self._chats, self._models, self._source, self._tell = chats, models, source, tell
        self._room = asyncio.Semaphore(MAX_PARALLEL_DOWNLOADS)
        self._drawing = asyncio.Lock()

    def can_see(self, chat: Chat) -> bool:
        """Whether images may be sent to the chat's model."""
        return self._models.can_see(chat.model)

    async def load_pending(self, chat: Chat, answer: Answer, history: Sequence[Message]) -> bool:
        """Brings in what the messages before this answer still wait for; True when something was stored.

        Raises AttachmentsUnreadable when the message to answer has nothing else and nothing of it could be had. Its
        files wait on then: trying again may help.
        """
        changed = False
        for message in history:
            if rules.loadable(message.files):
                asked = message.id == answer.question_id
                changed = await self._settle(chat, message, answer if asked else None) or changed
        return changed

    async def _settle(self, chat: Chat, message: Message, answer: Answer | None) -> bool:
        sees = self.can_see(chat)
        waits = [
            file for file in message.files if not sees and file.problem is None and _is_image(file)
        ]
        fetched = [file for file in rules.loadable(message.files) if file not in waits]
        found: list[LoadResult] = await asyncio.gather(
            *(self._bring(chat.team, file) for file in fetched)
        )
        images = tuple(one for one in found if isinstance(one, Image))
        texts = [one for one in found if isinstance(one, TextFile)]
        text, cut = rules.append_texts(message.text, texts)
        failed = tuple(one for one in found if isinstance(one, SharedFile))
        report = AttachmentReport(tuple(file for file in failed if not file.before), cut)
        if not sees and (answer is None or answer.attempt <= 1):
            report = replace(report, unseen_images=_unseen(waits, fetched, found))
        if answer is not None:
            if report.unreadable and not (text or images or message.images or waits):
                raise AttachmentsUnreadable(" ".join(rules.report_sentences(report)))
            if report:
                self._tell(chat, message, report)
        if not fetched:
            return False
        known = tuple(file for file in message.files if file.problem is not None)
        await self._chats.store_loaded_files(
            message,
            more_text=text[len(message.text) :],
            images=images,
            files=(*known, *waits, *failed),
        )
        return True

    async def _bring(self, team: str, file: SharedFile) -> LoadResult:
        try:
            async with self._room:
                file = replace(await self._source.describe(team, file), before=file.before)
                if problem := rules.problem_of(file):
                    raise FileProblem(problem)
                return await self._read(team, file)
        except FileProblem as error:
            return replace(file, problem=error.code)

    async def _read(self, team: str, file: SharedFile) -> Image | TextFile:
        """Raises FileProblem. Slack's own small picture serves where the image itself cannot be used."""
        expected = rules.kind_of(file)
        if expected is FileKind.IMAGE and _only_by_thumb(file):
            return await self._picture(
                await self._source.fetch(team, file, MAX_FILE_BYTES, thumb=True), file
            )
        most = MAX_TEXT_BYTES if expected is FileKind.TEXT else MAX_FILE_BYTES
        fetched = await self._source.fetch(team, file, most)
        if expected is not FileKind.IMAGE and image_type(fetched.data) is None:
            text = await asyncio.to_thread(
                decode_text, fetched.data[:MAX_TEXT_BYTES], cut=len(fetched.data) > MAX_TEXT_BYTES
            )
            if text is not None:
                cut = fetched.truncated or len(fetched.data) > MAX_TEXT_BYTES
                return TextFile(
                    file.name, _language(file), text, truncated=cut, earlier=file.before
                )
        try:
            return await self._picture(fetched, file)
        except FileProblem:
            if file.thumb is None:
                raise
        return await self._picture(
            await self._source.fetch(team, file, MAX_FILE_BYTES, thumb=True), file
        )

    async def _picture(self, fetched: FetchedFile, file: SharedFile) -> Image:
        if fetched.truncated:
            raise FileProblem("too_large" if image_type(fetched.data) else "kind")
        async with self._drawing:  # one at a time: a picture unfolds to fifty times its size
            try:
                return await asyncio.to_thread(fit_image, fetched.data, file.name)
            except FileProblem as error:
                broken = error.code == "kind" and _is_image(file)
                raise FileProblem("broken") if broken else error from None


def _unseen(
    waits: Sequence[SharedFile], fetched: Sequence[SharedFile], found: Sequence[LoadResult]
) -> tuple[str, ...]:
    """Names of the message's own images, which a model that cannot see does not get."""
    drawn = [
        one.name
        for file, one in zip(fetched, found, strict=True)
        if isinstance(one, Image) and not file.before
    ]
    return (*(file.name for file in waits if not file.before), *drawn)


def _is_image(file: SharedFile) -> bool:
    return rules.kind_of(file) is FileKind.IMAGE


def _only_by_thumb(file: SharedFile) -> bool:
    return file.thumb is not None and rules.problem_of(replace(file, thumb=None)) is not None


def _language(file: SharedFile) -> str:
    """The name of the language for the fence, by the end of the file's name."""
    return file.name.rpartition(".")[2].lower() if "." in file.name else ""
