"""What may be sent along with a message: pictures that models take, and texts that become part of the message. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from bot import words
from bot.domain import Image
from bot.errors import BadInput

MOST_IMAGES = 5
LARGEST_IMAGE = 5_000_000
"""Bytes."""
MOST_TEXTS = 10
LONGEST_TEXTS = 200_000
"""Characters of all attached texts together."""
_SIGNS: tuple[tuple[str, bytes], ...] = (
    ("image/png", rb"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", rb"\xff\xd8\xff"),
    ("image/gif", rb"GIF8[79]a"),
    ("image/webp", rb"RIFF.{4}WEBP"),
)
_DATA_URL = re.compile(r"data:(?P<mime>[\w/+.-]*)(?:;[\w=+.-]*)*?;base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text that belongs to a message."""

    name: str
    kind: str
    content: str = field(repr=False)


def image_kind(data: bytes) -> str | None:
    """What kind of picture these bytes are, of the kinds that models take; names and claims are not believed."""
    return next((mime for mime, sign in _SIGNS if re.match(sign, data[:16], re.DOTALL)), None)


def image(data: bytes, name: str = "image") -> Image:
    """Raises BadInput for what is too large or no picture that models take."""
    if len(data) > LARGEST_IMAGE:
        raise BadInput(words.IMAGE_TOO_LARGE.format(megabytes=LARGEST_IMAGE // 1_000_000))
    mime = image_kind(data)
    if mime is None:
        raise BadInput(words.IMAGE_UNKNOWN)
    return Image(name, mime, data)


def image_from_text(text: str, name: str = "image") -> Image:
    """A picture from a data URL or plain base64. Addresses are refused: nothing is fetched. Raises BadInput."""
    found = _DATA_URL.fullmatch(text)
    if found is None and re.match(r"[a-z][a-z0-9+.-]*:", text, re.IGNORECASE):
        raise BadInput(words.IMAGE_NOT_FETCHED)
    try:
        data = base64.b64decode("".join((found["data"] if found else text).split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(words.IMAGE_UNREADABLE) from None
    return image(data, name)


def images(found: list[Image]) -> tuple[Image, ...]:
    """The same, if they are not too many. Raises BadInput."""
    if len(found) > MOST_IMAGES:
        raise BadInput(words.IMAGES_TOO_MANY.format(count=MOST_IMAGES))
    return tuple(found)


def with_texts(text: str, files: list[TextFile]) -> str:
    """The message with its attached texts, each in a fence that its content cannot close. Raises BadInput."""
    if len(files) > MOST_TEXTS:
        raise BadInput(words.TEXTS_TOO_MANY.format(count=MOST_TEXTS))
    if sum(len(file.content) for file in files) > LONGEST_TEXTS:
        raise BadInput(words.TEXTS_TOO_LONG.format(count=LONGEST_TEXTS))
    return "\n\n".join([text, *(_fenced(file) for file in files)])


def _fenced(file: TextFile) -> str:
    longest = max((len(run) for run in re.findall(r"`+", file.content)), default=0)
    fence = "`" * max(3, longest + 1)
    language = file.kind.rpartition("/")[2]
    language = language if re.fullmatch(r"[\w+#.-]{1,30}", language) else ""
    name = " ".join(file.name.split())
    return f"{words.ATTACHED_TEXT.format(name=name)}\n{fence}{language}\n{file.content}\n{fence}"
