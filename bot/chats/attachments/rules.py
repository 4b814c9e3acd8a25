"""What may be sent along with a message: pictures that models take, and texts that become part of the message. Pure.

The same rules for people in Slack and for programs. A program is refused what does not fit; a person is told, and the
rest of the message is answered.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot import strings
from bot.chats.attachments.images import KINDS, fit, image_kind
from bot.domain import Image, SharedFile
from bot.errors import BadInput, FileProblem

MOST_FILES = 10
"""Files of one message in Slack."""
MOST_IMAGES = 5
"""Images that a program may send at once."""
LARGEST_IMAGE = 5_000_000
"""Bytes of one image from a program, which arrives in base64 among others."""
LARGEST_FILE = 20_000_000
"""Bytes of one image in Slack, before it is made to fit."""
MOST_TEXTS = 10
BEFORE = 5
"""So many images, and so many texts, of those shared in a thread before, are brought in: the newest."""
LONGEST_BEFORE = 20_000
"""Characters of a text that was shared before."""
LONGEST_TEXTS = 200_000
"""Characters of all attached texts together."""
TEXT_BYTES = 1_000_000
"""As much of a text file as is read: enough for all those characters in whatever encoding."""
_NAME = 80
"""Characters of a file's name that are shown."""
_DATA_URL = re.compile(
    r"data:(?P<mime>[\w/+.-]*)(?:;[\w=+.-]*)*?;base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE
)
_TEXTUAL = re.compile(
    r"text/.*|.*[+/](json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|typescript|x-typescript|sql|graphql"
    r"|x-sh|x-shellscript|x-python|x-perl|x-ruby|x-php|x-httpd-php|x-tex|x-latex|x-ndjson|jsonlines|rtf|csv|x-csv)"
)
_NAMELESS = frozenset({"", "application/octet-stream", "binary/octet-stream", "video/mp2t"})
"""Kinds that say nothing (the last one is what TypeScript is mostly taken for): only the bytes can tell."""
_MODES = {"tombstone": "gone", "hidden_by_limit": "hidden", "external": "external"}


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text that belongs to a message."""

    name: str
    kind: str
    content: str = field(repr=False)
    cut: bool = False
    """There is more of it."""
    before: bool = False
    """It was shared in the thread before the chat began there."""


class Kind(StrEnum):
    """What a file is by its description."""

    IMAGE = "image"
    TEXT = "text"
    UNKNOWN = "unknown"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Report:
    """What of a message's files could not be used, for the person."""

    unreadable: tuple[SharedFile, ...] = ()
    cut: tuple[str, ...] = ()
    """Names of texts of which only the beginning was read."""
    unseen: tuple[str, ...] = ()
    """Names of images for a model that cannot see."""

    def __bool__(self) -> bool:
        return bool(self.unreadable or self.cut or self.unseen)


# -- files that people share -------------------------------------------------------------------------------------------


def kind(file: SharedFile) -> Kind:
    mime = file.mime.lower()
    if file.mode == "snippet" or _TEXTUAL.fullmatch(mime):
        return Kind.TEXT
    if mime.startswith("image/"):
        return Kind.IMAGE
    return Kind.UNKNOWN if mime in _NAMELESS else Kind.OTHER


def review(files: Iterable[SharedFile]) -> tuple[SharedFile, ...]:
    """The same files; those that cannot be read, as far as their description tells, with the problem."""
    return tuple(
        replace(
            file,
            problem=file.problem
            or ("too_many" if count > MOST_FILES else problem(file, early=True)),
        )
        for count, file in enumerate(files, 1)
    )


def problem(file: SharedFile, *, early: bool = False) -> str | None:
    """Why a file cannot be read, if its description tells; `early`: Slack may still be making its small picture."""
    if file.mode in _MODES:
        return _MODES[file.mode]
    what = kind(file)
    if lacks_thumb(file):
        return None if early else "kind"
    if what is Kind.IMAGE and file.thumb is None and (file.size or 0) > LARGEST_FILE:
        return "too_large"
    return "kind" if what is Kind.OTHER else None


def lacks_thumb(file: SharedFile) -> bool:
    """It is an image of a kind that can only be taken by way of Slack's small picture, and there is none."""
    plain = file.mime.lower().replace("jpg", "jpeg") in KINDS
    return kind(file) is Kind.IMAGE and not plain and file.thumb is None


def pending(files: Iterable[SharedFile]) -> list[SharedFile]:
    """Those that are to be fetched."""
    return [file for file in files if file.problem is None]


def shared_before(files: Iterable[SharedFile]) -> tuple[SharedFile, ...]:
    """Of what was shared in a thread, the newest images and texts, in order."""
    readable = [
        replace(file, before=True) for file in review(files) if file.problem in (None, "too_many")
    ]
    readable = [replace(file, problem=problem(file, early=True)) for file in readable]
    kinds = {
        what: [f for f in pending(readable) if kind(f) is what][-BEFORE:]
        for what in (Kind.IMAGE, Kind.TEXT)
    }
    return tuple(file for file in readable if file in kinds[Kind.IMAGE] or file in kinds[Kind.TEXT])


def unusable(text: str, files: Sequence[SharedFile], sees: bool = True) -> bool:
    """Whether such a message consists of files that cannot be used, and nothing else."""
    usable = [file for file in pending(files) if sees or kind(file) is not Kind.IMAGE]
    return bool(files) and not text and not usable


def enclose(text: str, files: Sequence[TextFile]) -> tuple[str, tuple[str, ...]]:
    """The message with the texts, as much of them as fits, and the names of its own that were cut."""
    room, cut, shown = LONGEST_TEXTS, [], []
    for file in files:
        most = min(room, LONGEST_BEFORE) if file.before else room
        if file.cut or len(file.content) > most:
            cut.extend([] if file.before else [file.name])
            file = replace(file, content=file.content[:most], cut=True)
        room -= len(file.content)
        shown.append(file)
    return _joined(text, shown), tuple(cut)


def sentences(report: Report, shown: Callable[[str], str] = str) -> list[str]:
    """What the person is told, but for `unseen`. `shown` makes a name fit to be shown where they read it."""
    by_problem: dict[str, list[str]] = {}
    for file in report.unreadable:
        by_problem.setdefault(file.problem or "unreachable", []).append(shown(one_line(file.name)))
    told = [strings.file_problem(code, listed(names)) for code, names in by_problem.items()]
    if report.cut:
        names = listed([shown(one_line(name)) for name in report.cut])
        told.append(strings.FILES_CUT.format(names=names, count=LONGEST_TEXTS))
    return told


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return (
        names[0]
        if len(names) == 1
        else strings.AND.format(rest=", ".join(names[:-1]), last=names[-1])
    )


def one_line(name: str) -> str:
    """A name as it can be shown: never longer than a line."""
    name = " ".join(name.split()) or strings.FILE_UNNAMED
    return name if len(name) <= _NAME else f"{name[: _NAME - 13]}…{name[-12:]}"


# -- what programs send ------------------------------------------------------------------------------------------------


def image(data: bytes, name: str = "image") -> Image:
    """Raises BadInput for what is too large or no picture that models take."""
    if len(data) > LARGEST_IMAGE:
        raise BadInput(strings.IMAGE_TOO_LARGE.format(megabytes=LARGEST_IMAGE // 1_000_000))
    mime = image_kind(data)
    if mime is None:
        raise BadInput(strings.IMAGE_UNKNOWN)
    return Image(name, mime, data)


def image_from_text(text: str, name: str = "image") -> Image:
    """A picture from a data URL or plain base64. Addresses are refused: nothing is fetched. Raises BadInput."""
    found = _DATA_URL.fullmatch(text)
    if found is None and re.match(r"[a-z][a-z0-9+.-]*:", text, re.IGNORECASE):
        raise BadInput(strings.IMAGE_NOT_FETCHED)
    try:
        data = base64.b64decode("".join((found["data"] if found else text).split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(strings.IMAGE_UNREADABLE) from None
    return image(data, name)


def images(found: list[Image]) -> tuple[Image, ...]:
    """The same, if they are not too many. Raises BadInput."""
    if len(found) > MOST_IMAGES:
        raise BadInput(strings.IMAGES_TOO_MANY.format(count=MOST_IMAGES))
    return tuple(found)


def fitted(found: Iterable[Image]) -> tuple[Image, ...]:
    """The same as they are sent to models. Raises BadInput; works hard, so call it in a thread."""
    try:
        return tuple(fit(each.data, each.name) for each in found)
    except FileProblem as error:
        raise BadInput(
            strings.IMAGE_TOO_WIDE if error.code == "too_large" else strings.IMAGE_BROKEN
        ) from error


def with_texts(text: str, files: list[TextFile]) -> str:
    """The message with its attached texts, each in a fence that its content cannot close. Raises BadInput."""
    if len(files) > MOST_TEXTS:
        raise BadInput(strings.TEXTS_TOO_MANY.format(count=MOST_TEXTS))
    if sum(len(file.content) for file in files) > LONGEST_TEXTS:
        raise BadInput(strings.TEXTS_TOO_LONG.format(count=LONGEST_TEXTS))
    return _joined(text, files)


def _joined(text: str, files: Sequence[TextFile]) -> str:
    return "\n\n".join([*([text] if text else ()), *(_fenced(file) for file in files)])


def _fenced(file: TextFile) -> str:
    longest = max((len(run) for run in re.findall(r"`+", file.content)), default=0)
    fence = "`" * max(3, longest + 1)
    language = file.kind.rpartition("/")[2]
    language = language if re.fullmatch(r"[\w+#.-]{1,30}", language) else ""
    label = strings.ATTACHED_BEFORE if file.before else strings.ATTACHED_TEXT
    name = label.format(name=" ".join(file.name.split()))
    more = f"\n{strings.ATTACHED_TEXT_CUT.format(count=len(file.content))}" if file.cut else ""
    return f"{name}\n{fence}{language}\n{file.content}\n{fence}{more}"
