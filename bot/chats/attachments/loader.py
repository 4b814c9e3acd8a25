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
from bot.chats.attachments.images import fit, image_kind
from bot.chats.attachments.rules import LARGEST_FILE, TEXT_BYTES, Kind, Report, TextFile
from bot.chats.attachments.text import decode
from bot.chats.models import ModelChoice
from bot.domain import Answer, Chat, Image, Message, SharedFile
from bot.errors import FileProblem, Unreadable
from storage.chats import Chats

AT_ONCE = 4
"""Files that one process fetches at the same time: each may take twenty megabytes of memory."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a file, or its beginning (`cut`)."""

    data: bytes
    cut: bool = False


class FileSource(Protocol):
    """Where shared files are."""

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """The file with all that must be known to fetch it. Raises FileProblem."""
        ...

    async def fetch(
        self, team: str, file: SharedFile, most: int, *, thumb: bool = False
    ) -> Fetched:
        """The first `most` bytes of it, or of its small picture. Raises FileProblem."""
        ...


Tell = Callable[[Chat, Message, Report], None]
"""Tells the author privately what could not be used. Returns at once."""
Found = Image | TextFile | SharedFile
"""What became of a file: the last one with its problem."""


class AttachmentLoader:
    def __init__(self, chats: Chats, models: ModelChoice, source: FileSource, tell: Tell) -> None:
        self._chats, self._models, self._source, self._tell = chats, models, source, tell
        self._room = asyncio.Semaphore(AT_ONCE)
        self._drawing = asyncio.Lock()

    def sees(self, chat: Chat) -> bool:
        """Whether images may be sent to the chat's model."""
        return self._models.sees(chat.model)

    async def settle(self, chat: Chat, answer: Answer, history: Sequence[Message]) -> bool:
        """Brings in what the messages before this answer still wait for; True when something was stored.

        Raises Unreadable when the message to answer has nothing else and nothing of it could be had. Its files wait
        on then: trying again may help.
        """
        changed = False
        for message in history:
            if rules.pending(message.files):
                asked = message.id == answer.question_id
                changed = await self._settle(chat, message, answer if asked else None) or changed
        return changed

    async def _settle(self, chat: Chat, message: Message, answer: Answer | None) -> bool:
        sees = self.sees(chat)
        waits = [
            file for file in message.files if not sees and file.problem is None and _is_image(file)
        ]
        fetched = [file for file in rules.pending(message.files) if file not in waits]
        found: list[Found] = await asyncio.gather(
            *(self._bring(chat.team, file) for file in fetched)
        )
        images = tuple(one for one in found if isinstance(one, Image))
        texts = [one for one in found if isinstance(one, TextFile)]
        text, cut = rules.enclose(message.text, texts)
        failed = tuple(one for one in found if isinstance(one, SharedFile))
        report = Report(tuple(file for file in failed if not file.before), cut)
        if not sees and (answer is None or answer.attempt <= 1):
            report = replace(report, unseen=_unseen(waits, fetched, found))
        if answer is not None:
            if report.unreadable and not (text or images or message.images or waits):
                raise Unreadable(" ".join(rules.sentences(report)))
            if report:
                self._tell(chat, message, report)
        if not fetched:
            return False
        known = tuple(file for file in message.files if file.problem is not None)
        await self._chats.store_loaded_files(
            message, more=text[len(message.text) :], images=images, files=(*known, *waits, *failed)
        )
        return True

    async def _bring(self, team: str, file: SharedFile) -> Found:
        try:
            async with self._room:
                file = replace(await self._source.describe(team, file), before=file.before)
                if problem := rules.problem(file):
                    raise FileProblem(problem)
                return await self._read(team, file)
        except FileProblem as error:
            return replace(file, problem=error.code)

    async def _read(self, team: str, file: SharedFile) -> Image | TextFile:
        """Raises FileProblem. Slack's own small picture serves where the image itself cannot be used."""
        expected = rules.kind(file)
        if expected is Kind.IMAGE and _only_by_thumb(file):
            return await self._picture(
                await self._source.fetch(team, file, LARGEST_FILE, thumb=True), file
            )
        most = TEXT_BYTES if expected is Kind.TEXT else LARGEST_FILE
        fetched = await self._source.fetch(team, file, most)
        if expected is not Kind.IMAGE and image_kind(fetched.data) is None:
            text = await asyncio.to_thread(
                decode, fetched.data[:TEXT_BYTES], cut=len(fetched.data) > TEXT_BYTES
            )
            if text is not None:
                cut = fetched.cut or len(fetched.data) > TEXT_BYTES
                return TextFile(file.name, _language(file), text, cut=cut, before=file.before)
        try:
            return await self._picture(fetched, file)
        except FileProblem:
            if file.thumb is None:
                raise
        return await self._picture(
            await self._source.fetch(team, file, LARGEST_FILE, thumb=True), file
        )

    async def _picture(self, fetched: Fetched, file: SharedFile) -> Image:
        if fetched.cut:
            raise FileProblem("too_large" if image_kind(fetched.data) else "kind")
        async with self._drawing:  # one at a time: a picture unfolds to fifty times its size
            try:
                return await asyncio.to_thread(fit, fetched.data, file.name)
            except FileProblem as error:
                broken = error.code == "kind" and _is_image(file)
                raise FileProblem("broken") if broken else error from None


def _unseen(
    waits: Sequence[SharedFile], fetched: Sequence[SharedFile], found: Sequence[Found]
) -> tuple[str, ...]:
    """Names of the message's own images, which a model that cannot see does not get."""
    drawn = [
        one.name
        for file, one in zip(fetched, found, strict=True)
        if isinstance(one, Image) and not file.before
    ]
    return (*(file.name for file in waits if not file.before), *drawn)


def _is_image(file: SharedFile) -> bool:
    return rules.kind(file) is Kind.IMAGE


def _only_by_thumb(file: SharedFile) -> bool:
    return file.thumb is not None and rules.problem(replace(file, thumb=None)) is not None


def _language(file: SharedFile) -> str:
    """The name of the language for the fence, by the end of the file's name."""
    return file.name.rpartition(".")[2].lower() if "." in file.name else ""
