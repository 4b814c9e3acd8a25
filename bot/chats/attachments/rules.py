"""The rules for what may be sent with a message: images, and texts that become part of the message. Pure.

Slack and the API have the same rules. An API request that violates them is rejected; in Slack the user gets a notice,
and the rest of the message is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot import english_strings, sentences, strings
from bot.chats.attachments.images import IMAGE_TYPES, image_type
from bot.documents.kinds import is_document
from bot.domain import PDF, Image, SharedFile
from bot.errors import InvalidInput

MAX_FILES = 10
"""Files of one Slack message."""
MAX_API_IMAGES = 5
"""Images in one request of an API client."""
MAX_API_IMAGE_BYTES = 5_000_000
"""Bytes of one image from an API client, which arrives in base64 together with others."""
MAX_API_FILES = 5
MAX_API_FILE_BYTES = 10_000_000
"""Bytes of one file from an API client."""
MAX_PDF_BYTES = 12_000_000
"""Bytes of a PDF that is sent to a provider as it is; part of what all images of a chat may have."""
MAX_FILE_BYTES = 20_000_000
"""Bytes of one file in Slack, before an image is scaled down."""
MAX_API_TEXTS = 10
MAX_EARLIER_FILES = 5
"""Of the files shared in a thread before the chat: the newest images, the newest texts and documents, and the newest
clips.
"""
MAX_EARLIER_TEXT_LENGTH = 20_000
"""Characters of a text that was shared before the chat."""
MAX_TEXT_LENGTH = 200_000
"""Characters of all attached texts together."""
MAX_TEXT_BYTES = 1_000_000
"""Bytes read from a text file: enough for `MAX_TEXT_LENGTH` characters in any encoding."""
_MAX_NAME_LENGTH = 80
"""Characters of a file's name that are shown."""
_TEXT_TYPES = re.compile(
    r"text/.*|.*[+/](json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|typescript|x-typescript|sql|graphql"
    r"|x-sh|x-shellscript|x-python|x-perl|x-ruby|x-php|x-httpd-php|x-tex|x-latex|x-ndjson|jsonlines|rtf|csv|x-csv)"
)
_UNSPECIFIC_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream", "video/mp2t"})
"""Types that say nothing about the content (the last one is what TypeScript files are usually mistaken for)."""
UNREACHABLE = "unreachable"
"""The problem of a file that Slack did not provide in time; it may do so later."""
LARGE_DOCUMENT = "large_document"
LARGE_CLIP = "large_clip"
NOT_TRANSCRIBED = "not_heard"
"""The problem of a voice clip whose transcription failed; it may work later."""
BUSY = "busy"
"""The problem of a document that did not get its turn to be read."""
_PROBLEM_BY_MODE = {"tombstone": "gone", "hidden_by_limit": "hidden", "external": "external"}

ATTACHED_TEXT = "Attached: {name}"
ATTACHED_BEFORE = "Shared in this thread before: {name}"
ATTACHED_TEXT_CUT = "(cut here: only the first {count:,} characters were taken)"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text that is part of a message."""

    name: str
    language: str
    content: str = field(repr=False)
    truncated: bool = False
    """Whether this is only the beginning of the text."""
    earlier: bool = False
    """Whether it was shared in the thread before the chat began."""


@dataclass(frozen=True, slots=True)
class VoiceTranscript:
    """The transcript of a voice clip: a part of the message's own text."""

    text: str = field(repr=False)


class FileKind(StrEnum):
    """What a file is, according to its description."""

    IMAGE = "image"
    TEXT = "text"
    DOCUMENT = "document"
    AUDIO = "audio"
    UNKNOWN = "unknown"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class AttachmentReport:
    """Which of a message's files could not be used, for its author."""

    unreadable: tuple[SharedFile, ...] = ()
    truncated: tuple[str, ...] = ()
    """Names of texts that were read only partly."""
    unseen_images: tuple[str, ...] = ()
    """Names of images that were not sent, because the model does not accept images."""

    def __bool__(self) -> bool:
        return bool(self.unreadable or self.truncated or self.unseen_images)


# -- files that people share -------------------------------------------------------------------------------------------


def kind_of(file: SharedFile) -> FileKind:
    """What the file is, by its mode and MIME type."""
    mime = file.mime.lower()
    document = is_document(file.name, mime)
    if file.mode == "snippet" or (_TEXT_TYPES.fullmatch(mime) and not document):
        return FileKind.TEXT
    if mime.startswith("image/"):
        return FileKind.IMAGE
    if document:
        return FileKind.DOCUMENT
    if mime.startswith("audio/"):
        return FileKind.AUDIO
    return FileKind.UNKNOWN if mime in _UNSPECIFIC_TYPES else FileKind.OTHER


def mark_unreadable(
    files: Iterable[SharedFile], *, transcribes: bool = False
) -> tuple[SharedFile, ...]:
    """The same files, with `problem` set for those whose description shows that they are unreadable.

    `transcribes`: see `problem_of`.
    """
    return tuple(
        replace(
            file,
            problem=file.problem
            or (
                "too_many"
                if count > MAX_FILES
                else problem_of(file, early=True, transcribes=transcribes)
            ),
        )
        for count, file in enumerate(files, 1)
    )


def problem_of(file: SharedFile, *, early: bool = False, transcribes: bool = False) -> str | None:
    """Why a file cannot be read, if its description shows it.

    `early`: Slack may still be making its thumbnail. `transcribes`: voice clips are transcribed.
    """
    if file.mode in _PROBLEM_BY_MODE:
        return _PROBLEM_BY_MODE[file.mode]
    what = kind_of(file)
    if lacks_thumb(file):
        return None if early else "kind"
    if what is FileKind.IMAGE and file.thumb is None and (file.size or 0) > MAX_FILE_BYTES:
        return "too_large"
    if what is FileKind.DOCUMENT and (file.size or 0) > MAX_FILE_BYTES:
        return LARGE_DOCUMENT
    if what is FileKind.AUDIO and transcribes:
        return LARGE_CLIP if (file.size or 0) > MAX_FILE_BYTES else None
    return "kind" if what in (FileKind.OTHER, FileKind.AUDIO) else None


def lacks_thumb(file: SharedFile) -> bool:
    """Whether it is an image in a format that models do not accept, without a thumbnail from Slack."""
    plain = file.mime.lower().replace("jpg", "jpeg") in IMAGE_TYPES
    return kind_of(file) is FileKind.IMAGE and not plain and file.thumb is None


def loadable(files: Iterable[SharedFile], *, again: bool = False) -> list[SharedFile]:
    """The files without a known problem. `again`: also those whose problem was a timeout."""
    late = (UNREACHABLE, BUSY, NOT_TRANSCRIBED) if again else ()
    tried = (replace(file, problem=None) if file.problem in late else file for file in files)
    return [file for file in tried if file.problem is None]


def select_earlier(
    files: Iterable[SharedFile], *, transcribes: bool = False
) -> tuple[SharedFile, ...]:
    """Of the files shared in a thread, the newest images, texts and documents, and voice clips, in order.

    `transcribes`: see `problem_of`.
    """
    readable = [
        replace(file, before=True)
        for file in mark_unreadable(files, transcribes=transcribes)
        if file.problem in (None, "too_many")
    ]
    readable = [
        replace(file, problem=problem_of(file, early=True, transcribes=transcribes))
        for file in readable
    ]
    newest = [
        file
        for kinds in ((FileKind.IMAGE,), (FileKind.TEXT, FileKind.DOCUMENT), (FileKind.AUDIO,))
        for file in [f for f in loadable(readable) if kind_of(f) in kinds][-MAX_EARLIER_FILES:]
    ]
    return tuple(file for file in readable if file in newest)


def only_unusable_files(text: str, files: Sequence[SharedFile], sees: bool = True) -> bool:
    """Whether a message consists of nothing but unusable files."""
    usable = [file for file in loadable(files) if sees or kind_of(file) is not FileKind.IMAGE]
    return bool(files) and not text and not usable


def append_texts(text: str, files: Sequence[TextFile]) -> tuple[str, tuple[str, ...]]:
    """The message with as much of the texts as fits, and the names of its own files that were truncated."""
    room = MAX_TEXT_LENGTH
    truncated: list[str] = []
    shown: list[TextFile] = []
    for file in files:
        limit = min(room, MAX_EARLIER_TEXT_LENGTH) if file.earlier else room
        if file.truncated or len(file.content) > limit:
            if not file.earlier:
                truncated.append(file.name)
            file = replace(file, content=file.content[:limit], truncated=True)
        room -= len(file.content)
        shown.append(file)
    return _joined(text, shown), tuple(truncated)


def scanned_pdf(name: str, data: bytes) -> Image | None:
    """A PDF without text, for a provider that reads PDFs itself; None if it is too large."""
    return Image(short_name(name), PDF, data) if len(data) <= MAX_PDF_BYTES else None


def append_transcripts(text: str, transcripts: Sequence[VoiceTranscript]) -> str:
    """The message with the transcripts of its voice clips."""
    return "\n\n".join(filter(None, [text, *(each.text for each in transcripts)]))


def report_sentences(report: AttachmentReport, shown: Callable[[str], str] = str) -> list[str]:
    """The sentences for the author, except about `unseen_images`. `shown` escapes a name for Slack or for the model."""
    by_problem: dict[str, list[str]] = {}
    for file in report.unreadable:
        by_problem.setdefault(file.problem or UNREACHABLE, []).append(shown(short_name(file.name)))
    lines = [sentences.file_problem(code, join_names(names)) for code, names in by_problem.items()]
    if report.truncated:
        names = join_names([shown(short_name(name)) for name in report.truncated])
        lines.append(strings.FILES_CUT.format(names=names, count=MAX_TEXT_LENGTH))
    return lines


def language_of(name: str) -> str:
    """The language tag for a text's fence: the suffix of the file's name."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def join_names(names: Sequence[str]) -> str:
    """Joins names as in "a, b and c"."""
    return (
        names[0]
        if len(names) == 1
        else strings.AND.format(rest=", ".join(names[:-1]), last=names[-1])
    )


def short_name(name: str) -> str:
    """A file's name in one line of at most 80 characters."""
    name = " ".join(name.split()) or strings.FILE_UNNAMED
    return (
        name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 13]}…{name[-12:]}"
    )


# -- files from API clients ------------------------------------------------------------------------------------------


def image_too_large() -> InvalidInput:
    return InvalidInput(
        english_strings.IMAGE_TOO_LARGE.format(megabytes=MAX_API_IMAGE_BYTES // 1_000_000)
    )


def image_from_bytes(data: bytes, name: str = "image") -> Image:
    """The image. Raises InvalidInput if it is too large, or of a format that models do not accept."""
    if len(data) > MAX_API_IMAGE_BYTES:
        raise image_too_large()
    mime = image_type(data)
    if mime is None:
        raise InvalidInput(english_strings.IMAGE_UNKNOWN)
    return Image(name, mime, data)


def limit_images(found: list[Image]) -> tuple[Image, ...]:
    """The same images. Raises InvalidInput if there are too many."""
    if len(found) > MAX_API_IMAGES:
        raise InvalidInput(english_strings.IMAGES_TOO_MANY.format(count=MAX_API_IMAGES))
    return tuple(found)


def append_api_texts(text: str, files: list[TextFile]) -> str:
    """The message with its attached texts, each in a fence that its content cannot close. Raises InvalidInput."""
    if len(files) > MAX_API_TEXTS:
        raise InvalidInput(english_strings.TEXTS_TOO_MANY.format(count=MAX_API_TEXTS))
    if sum(len(file.content) for file in files) > MAX_TEXT_LENGTH:
        raise InvalidInput(english_strings.TEXTS_TOO_LONG.format(count=MAX_TEXT_LENGTH))
    return _joined(text, files)


def _joined(text: str, files: Sequence[TextFile]) -> str:
    return "\n\n".join([*([text] if text else ()), *(_fenced(file) for file in files)])


def _fenced(file: TextFile) -> str:
    longest = max((len(run) for run in re.findall(r"`+", file.content)), default=0)
    fence = "`" * max(3, longest + 1)
    language = file.language.rpartition("/")[2]
    language = language if re.fullmatch(r"[\w+#.-]{1,30}", language) else ""
    label = ATTACHED_BEFORE if file.earlier else ATTACHED_TEXT
    name = label.format(name=" ".join(file.name.split()))
    more = f"\n{ATTACHED_TEXT_CUT.format(count=len(file.content))}" if file.truncated else ""
    return f"{name}\n{fence}{language}\n{file.content}\n{fence}{more}"
