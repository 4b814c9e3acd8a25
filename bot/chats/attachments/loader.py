"""Downloads shared files when an answer is due: images are stored, texts become part of the message.

A message is first stored with only the descriptions of its files. So nothing is lost if a process dies during a
download: the worker that takes over the answer downloads them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.chats.attachments import rules
from bot.chats.attachments.documents import TeamDocuments
from bot.chats.attachments.file_source import DeadlineSource, FetchedFile, FileSource
from bot.chats.attachments.fitting import ImageFitter
from bot.chats.attachments.images import image_type
from bot.chats.attachments.rules import (
    MAX_FILE_BYTES,
    MAX_TEXT_BYTES,
    AttachmentReport,
    FileKind,
    TextFile,
    VoiceTranscript,
)
from bot.chats.attachments.single_run import SingleRun
from bot.chats.attachments.voice_clips import VoiceClips
from bot.chats.models import ModelChoice
from bot.documents.kinds import Container, container_of
from bot.documents.reader import DocumentReader
from bot.domain import PDF, Answer, Chat, Image, Message, SharedFile
from bot.errors import AttachmentsUnreadable, FileProblem
from bot.providers.transcription import VoiceClip
from bot.runtime.memory import MemoryBudget, MemoryReservation
from bot.text.charsets import decode_text
from bot.timing import Timing
from bot.usage.calls import Payer, payer_of
from storage.chats import Chats


@dataclass(frozen=True, slots=True)
class Purpose:
    """What files are read for."""

    payer: Payer
    """The user and chat that the usage is charged to."""
    takes_pdfs: bool
    """Whether the provider reads PDFs itself."""


NotifyAuthor = Callable[[Chat, Message, AttachmentReport], None]
"""Tells the author privately which files could not be used. Returns immediately."""
LoadResult = Image | TextFile | VoiceTranscript | SharedFile
"""What a file became: an image, a text, a transcript, or still a file, with its problem."""


class Loaded:
    """The outcome for a message's files."""

    def __init__(
        self,
        message: Message,
        skipped: Sequence[SharedFile],
        files: Sequence[SharedFile],
        results: Sequence[LoadResult],
    ) -> None:
        """`skipped`: images that the model does not accept. `files`: the others; `results`: the result of each."""
        self.message = message
        self.skipped = skipped
        self.files = files
        self.images = tuple(each for each in results if isinstance(each, Image))
        self.failed = tuple(each for each in results if isinstance(each, SharedFile))
        self.transcripts = [each for each in results if isinstance(each, VoiceTranscript)]
        self.text, self.truncated = rules.append_texts(
            rules.append_transcripts(message.text, self.transcripts),
            [each for each in results if isinstance(each, TextFile)],
        )
        """The message's text with that of its files, and the names of files of which it has only the beginning."""
        self._results = results

    @property
    def is_empty(self) -> bool:
        """Whether the message contains nothing that could be answered."""
        return not (self.text or self.images or self.message.images or self.skipped)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of the message's own images that are not sent because the model does not accept images."""
        loaded = [
            result.name
            for file, result in zip(self.files, self._results, strict=True)
            if isinstance(result, Image) and result.mime != PDF and not file.before
        ]
        return (*(file.name for file in self.skipped if not file.before), *loaded)


class AttachmentLoader:
    """Adds the content of shared files to stored messages."""

    def __init__(
        self,
        chats: Chats,
        models: ModelChoice,
        source: FileSource,
        documents: DocumentReader,
        notify: NotifyAuthor,
        fitter: ImageFitter,
        memory: MemoryBudget,
        voice_clips: VoiceClips,
        single_run: SingleRun,
        begin_chores: Callable[[str], object],
        timing: Timing = Timing(),
    ) -> None:
        """`begin_chores`: called with the id of an answer that has new chores."""
        self._single_run = single_run
        self._voice_clips = voice_clips
        self._begin_chores = begin_chores
        self._chats = chats
        self._models = models
        self._source = source
        self._documents = documents
        self._notify = notify
        self._timeout = timing.files_timeout
        self._fitter = fitter
        self._memory = memory

    def can_see(self, chat: Chat) -> bool:
        """Whether the chat's model accepts images."""
        return self._models.can_see(chat.model)

    def takes_pdfs(self, chat: Chat) -> bool:
        """Whether the provider of the chat's model reads PDFs itself."""
        return self._models.takes_pdfs(chat.model)

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message], unread: Collection[str] = ()
    ) -> bool:
        """Loads the files that the messages before this answer still lack; True if something was stored.

        All files are loaded concurrently and before one deadline; later ones count as unreachable. Raises
        AttachmentsUnreadable when the message to answer consists of files none of which could be read. They remain to
        be loaded, because trying again may help. `unread`: ids of messages whose own answer failed for that reason.
        Their voice clips are transcribed only when those messages are answered again: no other answer waits for clips
        that failed.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        source = DeadlineSource(self._source, chat.team, deadline)
        loads = [
            self._load(chat, message, answer if message.id == answer.question_id else None, source)
            for message in history
            if message.id not in unread or not any(map(_is_clip, message.files))
        ]
        outcomes = await asyncio.gather(*loads, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return any(outcomes)

    async def _load(
        self, chat: Chat, message: Message, answer: Answer | None, source: DeadlineSource
    ) -> bool:
        """Loads one message's files. `answer`: if this message is its question, the author is notified of problems."""
        pending = rules.loadable(message.files, again=answer is not None and answer.attempt > 1)
        if not pending:
            return False
        if self._voice_clips.transcribes and any(map(_is_clip, pending)):
            load = partial(self._load_clips, chat, message, answer, pending, source)
            return await self._single_run.do(message.id, load)
        with self._memory.reserve(chat.team) as reservation:
            return await self._load_files(chat, message, answer, pending, source, reservation)

    async def _load_clips(
        self,
        chat: Chat,
        message: Message,
        answer: Answer | None,
        pending: Sequence[SharedFile],
        source: DeadlineSource,
    ) -> bool:
        """Does the same for a message with voice clips, unless another process has done so meanwhile."""
        if (await self._chats.message(message.id)).files != message.files:
            return True
        with self._memory.reserve(chat.team) as reservation:
            return await self._load_files(chat, message, answer, pending, source, reservation)

    async def _load_files(
        self,
        chat: Chat,
        message: Message,
        answer: Answer | None,
        pending: Sequence[SharedFile],
        source: DeadlineSource,
        reservation: MemoryReservation,
    ) -> bool:
        purpose = Purpose(payer_of(chat, message.author), self.takes_pdfs(chat))
        skipped = [] if self.can_see(chat) else [file for file in pending if _is_image(file)]
        files = [file for file in pending if file not in skipped]
        results = await asyncio.gather(
            *(self._load_file(source, file, reservation.part(), purpose) for file in files)
        )
        loaded = Loaded(message, skipped, files, results)
        if answer is not None:
            self._report(chat, answer, loaded)
        if not files:
            return False
        await self._store(loaded)
        if loaded.transcripts and answer is not None:
            self._begin_chores(answer.id)
        return True

    def _report(self, chat: Chat, answer: Answer, loaded: Loaded) -> None:
        """Notifies the author of unreadable files. Raises AttachmentsUnreadable if nothing is left to answer."""
        report = AttachmentReport(
            tuple(file for file in loaded.failed if not file.before), loaded.truncated
        )
        if report.unreadable and loaded.is_empty:
            raise AttachmentsUnreadable(" ".join(rules.report_sentences(report)))
        if not self.can_see(chat) and answer.attempt <= 1:
            report = replace(report, unseen_images=loaded.unseen)
        if report:
            self._notify(chat, loaded.message, report)

    async def _store(self, loaded: Loaded) -> None:
        message = loaded.message
        tried = {file.id for file in (*loaded.skipped, *loaded.files)}
        untried = (file for file in message.files if file.id not in tried)
        await self._chats.store_loaded_files(
            message,
            more_text=loaded.text[len(message.text) :],
            images=loaded.images,
            files=(*untried, *loaded.skipped, *loaded.failed),
            transcript=rules.append_transcripts("", loaded.transcripts) or None,
        )

    async def _load_file(
        self,
        source: DeadlineSource,
        file: SharedFile,
        reservation: MemoryReservation,
        purpose: Purpose,
    ) -> LoadResult:
        result: LoadResult
        try:
            file = replace(await source.describe(file), before=file.before)
            if problem := rules.problem_of(file, transcribes=self._voice_clips.transcribes):
                raise FileProblem(problem)
            result = await self._read(source, file, reservation, purpose)
        except FileProblem as error:
            result = replace(file, problem=error.code)
        reservation.settle(_size(result))
        return result

    async def _read(
        self,
        source: DeadlineSource,
        file: SharedFile,
        reservation: MemoryReservation,
        purpose: Purpose,
    ) -> Image | TextFile | VoiceTranscript:
        """Raises FileProblem. Slack's thumbnail is used if the image itself is unusable."""
        expected = rules.kind_of(file)
        if expected is FileKind.AUDIO:
            return await self._transcribe(source, file, reservation, purpose)
        if expected is FileKind.IMAGE and _needs_thumb(file):
            return await self._thumbnail(source, file, reservation)
        most = MAX_TEXT_BYTES if expected is FileKind.TEXT else MAX_FILE_BYTES
        fetched = await source.fetch(file, most, reservation)
        if (container := _container(fetched, file, expected)) is not None:
            documents = TeamDocuments(self._documents, source.team)
            document = await documents.read_or_keep(
                container, fetched.data, file.name, keep=purpose.takes_pdfs
            )
            if isinstance(document, TextFile):
                return replace(document, earlier=file.before)
            return document
        if expected is not FileKind.IMAGE and image_type(fetched.data) is None:
            text = await _to_text(fetched, file)
            if text is not None:
                return text
        try:
            return await self._to_image(fetched, file, reservation)
        except FileProblem:
            if file.thumb is None:
                raise
        reservation.release()
        return await self._thumbnail(source, file, reservation)

    async def _transcribe(
        self,
        source: DeadlineSource,
        file: SharedFile,
        reservation: MemoryReservation,
        purpose: Purpose,
    ) -> VoiceTranscript | TextFile:
        """A clip from before the chat is not the asker's own message: its transcript appears under the file's name."""
        fetched = await source.fetch(file, MAX_FILE_BYTES, reservation)
        if fetched.truncated:
            raise FileProblem(rules.LARGE_CLIP)
        words = await self._voice_clips.transcribe(
            VoiceClip(file.mime, fetched.data), purpose.payer
        )
        return (
            TextFile(file.name, "", words, earlier=True) if file.before else VoiceTranscript(words)
        )

    async def _thumbnail(
        self, source: DeadlineSource, file: SharedFile, reservation: MemoryReservation
    ) -> Image:
        fetched = await source.fetch(file, MAX_FILE_BYTES, reservation, thumb=True)
        return await self._to_image(fetched, file, reservation)

    async def _to_image(
        self, fetched: FetchedFile, file: SharedFile, reservation: MemoryReservation
    ) -> Image:
        if fetched.truncated:
            raise FileProblem("too_large" if image_type(fetched.data) else "kind")
        try:
            return await self._fitter.fit(fetched.data, file.name, reservation)
        except FileProblem as error:
            broken = error.code == "kind" and _is_image(file)
            raise FileProblem("broken") if broken else error from None


def _container(fetched: FetchedFile, file: SharedFile, expected: FileKind) -> Container | None:
    """How the file is packaged if it is a document. Raises FileProblem if it is a document but incomplete."""
    if expected not in (FileKind.DOCUMENT, FileKind.UNKNOWN):
        return None
    container = container_of(fetched.data, file.name, file.mime)
    if container is not None and fetched.truncated:
        raise FileProblem(rules.LARGE_DOCUMENT)
    return container


async def _to_text(fetched: FetchedFile, file: SharedFile) -> TextFile | None:
    """The text in the file, or None if it is not text."""
    truncated = fetched.truncated or len(fetched.data) > MAX_TEXT_BYTES
    content = await asyncio.to_thread(decode_text, fetched.data[:MAX_TEXT_BYTES], cut=truncated)
    if content is None:
        return None
    return TextFile(
        file.name,
        rules.language_of(file.name),
        content,
        truncated=truncated,
        earlier=file.before,
    )


def _is_image(file: SharedFile) -> bool:
    return rules.kind_of(file) is FileKind.IMAGE


def _is_clip(file: SharedFile) -> bool:
    return rules.kind_of(file) is FileKind.AUDIO


def _needs_thumb(file: SharedFile) -> bool:
    return file.thumb is not None and rules.problem_of(replace(file, thumb=None)) is not None


def _size(result: LoadResult) -> int:
    """The bytes that the result for a file takes until it is stored."""
    if isinstance(result, Image):
        return len(result.data)
    if isinstance(result, VoiceTranscript):
        return len(result.text)
    return len(result.content) if isinstance(result, TextFile) else 0
