"""Downloads the files that people shared, when an answer is due: images are stored, texts become part of the message.

A message is first stored with only the descriptions of its files. So nothing is lost if a process dies during a
download: the worker that takes the answer over downloads them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.chats.attachments import rules
from bot.chats.attachments.images import fit_image, image_type
from bot.chats.attachments.memory import FileMemory, HeldBytes
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
"""Files of one message that are loaded at the same time."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """The bytes of a file, or of its beginning."""

    data: bytes
    truncated: bool = False


class FileSource(Protocol):
    """Downloads shared files; implemented by `handlers.client.files`."""

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """The file with everything that is needed to download it. Raises FileProblem."""
        ...

    async def fetch(
        self, team: str, file: SharedFile, most: int, held: HeldBytes, *, thumb: bool = False
    ) -> FetchedFile:
        """The first `most` bytes of the file, or of its thumbnail, added to `held`. Raises FileProblem."""
        ...


NotifyAuthor = Callable[[Chat, Message, AttachmentReport], None]
"""Tells the author privately which files could not be used. Returns at once."""
LoadResult = Image | TextFile | SharedFile
"""What a file became: an image, a text, or still a file, with its problem."""


class AttachmentLoader:
    """Puts the content of shared files into stored messages."""

    def __init__(
        self, chats: Chats, models: ModelChoice, source: FileSource, notify: NotifyAuthor
    ) -> None:
        self._chats = chats
        self._models = models
        self._source = source
        self._notify = notify
        self._memory = FileMemory()
        self._image_lock = asyncio.Lock()

    def can_see(self, chat: Chat) -> bool:
        """Whether the chat's model accepts images."""
        return self._models.can_see(chat.model)

    async def load_pending(self, chat: Chat, answer: Answer, history: Sequence[Message]) -> bool:
        """Loads the files that the messages before this answer still lack; True when something was stored.

        Raises AttachmentsUnreadable when the message to answer consists of files of which none could be read. They
        remain to be loaded, because trying again may help.
        """
        changed = False
        for message in history:
            if rules.loadable(message.files):
                is_question = message.id == answer.question_id
                changed = (
                    await self._load(chat, message, answer if is_question else None) or changed
                )
        return changed

    async def _load(self, chat: Chat, message: Message, answer: Answer | None) -> bool:
        """Loads one message's files. `answer`: if this is its question, whose author is notified of problems."""
        can_see = self.can_see(chat)
        pending = rules.loadable(message.files)
        skipped = [file for file in pending if not can_see and _is_image(file)]
        files = [file for file in pending if file not in skipped]
        results = await self._load_files(chat.team, files)
        images = tuple(each for each in results if isinstance(each, Image))
        failed = tuple(each for each in results if isinstance(each, SharedFile))
        text, truncated = rules.append_texts(
            message.text, [each for each in results if isinstance(each, TextFile)]
        )
        if answer is not None:
            report = AttachmentReport(tuple(file for file in failed if not file.before), truncated)
            if report.unreadable and not (text or images or message.images or skipped):
                raise AttachmentsUnreadable(" ".join(rules.report_sentences(report)))
            if not can_see and answer.attempt <= 1:
                report = replace(report, unseen_images=_unseen(skipped, files, results))
            if report:
                self._notify(chat, message, report)
        if not files:
            return False
        known = tuple(file for file in message.files if file.problem is not None)
        await self._chats.store_loaded_files(
            message,
            more_text=text[len(message.text) :],
            images=images,
            files=(*known, *skipped, *failed),
        )
        return True

    async def _load_files(self, team: str, files: Sequence[SharedFile]) -> list[LoadResult]:
        """A few at a time, in order."""
        parallel = asyncio.Semaphore(MAX_PARALLEL_DOWNLOADS)

        async def load(file: SharedFile) -> LoadResult:
            async with parallel:
                return await self._load_file(team, file)

        return await asyncio.gather(*map(load, files))

    async def _load_file(self, team: str, file: SharedFile) -> LoadResult:
        try:
            file = replace(await self._source.describe(team, file), before=file.before)
            if problem := rules.problem_of(file):
                raise FileProblem(problem)
            with self._memory.of(team).hold() as held:
                return await self._read(team, file, held)
        except FileProblem as error:
            return replace(file, problem=error.code)

    async def _read(self, team: str, file: SharedFile, held: HeldBytes) -> Image | TextFile:
        """Raises FileProblem. Slack's thumbnail is used where the image itself cannot be."""
        expected = rules.kind_of(file)
        if expected is FileKind.IMAGE and _needs_thumb(file):
            return await self._thumbnail(team, file, held)
        most = MAX_TEXT_BYTES if expected is FileKind.TEXT else MAX_FILE_BYTES
        fetched = await self._source.fetch(team, file, most, held)
        if expected is not FileKind.IMAGE and image_type(fetched.data) is None:
            text = await _to_text(fetched, file)
            if text is not None:
                return text
        try:
            return await self._to_image(fetched, file)
        except FileProblem:
            if file.thumb is None:
                raise
        held.release()
        return await self._thumbnail(team, file, held)

    async def _thumbnail(self, team: str, file: SharedFile, held: HeldBytes) -> Image:
        fetched = await self._source.fetch(team, file, MAX_FILE_BYTES, held, thumb=True)
        return await self._to_image(fetched, file)

    async def _to_image(self, fetched: FetchedFile, file: SharedFile) -> Image:
        if fetched.truncated:
            raise FileProblem("too_large" if image_type(fetched.data) else "kind")
        async with self._image_lock:  # one at a time: a decoded image takes fifty times its size
            try:
                return await asyncio.to_thread(fit_image, fetched.data, file.name)
            except FileProblem as error:
                broken = error.code == "kind" and _is_image(file)
                raise FileProblem("broken") if broken else error from None


async def _to_text(fetched: FetchedFile, file: SharedFile) -> TextFile | None:
    """The text in the file, or None if it is not text."""
    truncated = fetched.truncated or len(fetched.data) > MAX_TEXT_BYTES
    content = await asyncio.to_thread(decode_text, fetched.data[:MAX_TEXT_BYTES], cut=truncated)
    if content is None:
        return None
    return TextFile(
        file.name,
        _language(file),
        content,
        truncated=truncated,
        earlier=file.before,
    )


def _unseen(
    skipped: Sequence[SharedFile], files: Sequence[SharedFile], results: Sequence[LoadResult]
) -> tuple[str, ...]:
    """Names of the message's own images, which are not sent to a model that does not accept images."""
    loaded = [
        result.name
        for file, result in zip(files, results, strict=True)
        if isinstance(result, Image) and not file.before
    ]
    return (*(file.name for file in skipped if not file.before), *loaded)


def _is_image(file: SharedFile) -> bool:
    return rules.kind_of(file) is FileKind.IMAGE


def _needs_thumb(file: SharedFile) -> bool:
    return file.thumb is not None and rules.problem_of(replace(file, thumb=None)) is not None


def _language(file: SharedFile) -> str:
    """The language for the fence: the suffix of the file's name."""
    return file.name.rpartition(".")[2].lower() if "." in file.name else ""
