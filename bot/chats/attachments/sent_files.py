"""Files that API clients send with a message: images, documents and texts, recognised by their content."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot import english_strings, sentences
from bot.chats.attachments import rules
from bot.chats.attachments.base64_text import Base64Text, NotBase64, NotFetched, TooLarge
from bot.chats.attachments.documents import TeamDocuments
from bot.chats.attachments.images import image_type
from bot.chats.attachments.rules import TextFile, VoiceTranscript
from bot.chats.attachments.voice_clips import VoiceClips
from bot.documents.kinds import container_of
from bot.documents.reader import DocumentReader
from bot.domain import Image
from bot.errors import FileProblem, InvalidInput
from bot.providers.transcription import VoiceClip
from bot.text.charsets import decode_text
from bot.usage.calls import Payer


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as received in a request."""

    name: str
    mime: str
    data: bytes = field(repr=False)


async def image_from_base64(given: Base64Text, name: str) -> Image:
    """Raises InvalidInput if it is too large, or in a format that models do not accept."""
    try:
        data = await given.decode(rules.MAX_API_IMAGE_BYTES)
    except NotFetched:
        raise InvalidInput(english_strings.IMAGE_NOT_FETCHED) from None
    except NotBase64:
        raise InvalidInput(english_strings.IMAGE_NOT_BASE64) from None
    except TooLarge:
        raise rules.image_too_large() from None
    return rules.image_from_bytes(data, name)


async def file_from_base64(given: Base64Text, name: str, mime: str) -> SentFile:
    """Raises InvalidInput if it is too large, or not base64."""
    try:
        return SentFile(name, mime, await given.decode(rules.MAX_API_FILE_BYTES))
    except NotBase64:
        problem = english_strings.FILE_NOT_BASE64.format(name=rules.short_name(name))
    except TooLarge:
        problem = english_strings.FILE_TOO_LARGE.format(
            megabytes=rules.MAX_API_FILE_BYTES // 1_000_000
        )
    raise InvalidInput(problem)


class SentFiles:
    """Turns files into the content of a message."""

    def __init__(self, reader: DocumentReader, voice_clips: VoiceClips) -> None:
        self._reader = reader
        self._voice_clips = voice_clips

    async def read(
        self, payer: Payer, files: Sequence[SentFile], *, keep_pdfs: bool
    ) -> list[Image | TextFile | VoiceTranscript]:
        """Each file as an image, a text or a transcript, in order. Raises InvalidInput for anything else.

        `payer`: whom the usage is charged to. `keep_pdfs`: scanned PDFs stay as they are. Voice clips come last,
        because they cost money, and all at the same time.
        """
        clips = {number: clip for number, file in enumerate(files) if (clip := _clip_of(file))}
        found = {
            number: await self._read(payer.team, file, keep_pdfs)
            for number, file in enumerate(files)
            if number not in clips
        }
        transcriptions = (
            self._transcribe(payer, files[number], clip) for number, clip in clips.items()
        )
        outcomes = await asyncio.gather(*transcriptions, return_exceptions=True)
        for number, outcome in zip(clips, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            found[number] = outcome
        return [found[number] for number in range(len(files))]

    async def _read(
        self, team: str, file: SentFile, keep: bool
    ) -> Image | TextFile | VoiceTranscript:
        documents = TeamDocuments(self._reader, team)
        if image_type(file.data) is not None:
            return rules.image_from_bytes(file.data, file.name)
        with _problem_as_sentence(file):
            if (container := container_of(file.data, file.name, file.mime)) is not None:
                return await documents.read_or_keep(container, file.data, file.name, keep=keep)
            return await _text_of(file)

    async def _transcribe(self, payer: Payer, file: SentFile, clip: VoiceClip) -> VoiceTranscript:
        with _problem_as_sentence(file):
            return VoiceTranscript(await self._voice_clips.transcribe_if_allowed(clip, payer))


@contextmanager
def _problem_as_sentence(file: SentFile) -> Iterator[None]:
    """Turns a file's problem into a sentence for its sender. Raises InvalidInput."""
    try:
        yield
    except FileProblem as error:
        name = rules.short_name(file.name)
        raise InvalidInput(sentences.file_problem(error.code, name)) from None


def _clip_of(file: SentFile) -> VoiceClip | None:
    """The file as a voice clip, if its declared type or its name says so; None for other files."""
    mime = file.mime or mimetypes.guess_type(file.name)[0] or ""
    if not mime.startswith("audio/") or image_type(file.data) is not None:
        return None
    is_document = container_of(file.data, file.name, file.mime) is not None
    return None if is_document else VoiceClip(mime, file.data)


async def _text_of(file: SentFile) -> TextFile:
    """Raises FileProblem if the file is not text."""
    data = file.data[: rules.MAX_TEXT_BYTES]
    cut = len(data) < len(file.data)
    content = await asyncio.to_thread(decode_text, data, cut=cut)
    if content is None:
        raise FileProblem("kind")
    return TextFile(file.name, rules.language_of(file.name), content, truncated=cut)
