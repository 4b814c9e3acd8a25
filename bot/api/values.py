"""Values as API clients send them, and as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticCustomError

from bot.api.json_bodies import LongString
from bot.chats.attachments.base64_text import Base64Text


def format_time(moment: datetime | None) -> str:
    """A time in UTC, to the millisecond: `2026-01-31T12:00:00.000Z`."""
    assert moment is not None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_storable(text: str) -> str:
    """Replaces what databases or UTF-8 cannot represent: NUL characters and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def to_text(given: Any) -> Any:
    """The text of a long string. Raises ValueError if it is not text."""
    return given.text() if isinstance(given, LongString) else given


def to_base64(given: Any) -> Base64Text:
    if isinstance(given, LongString):
        return Base64Text(given.ascii_pieces)
    if isinstance(given, str):
        return Base64Text.of(given)
    raise PydanticCustomError("string_type", "Input should be a valid string")


def to_image(given: Any) -> Any:
    """Lets a picture be sent as its data alone."""
    return {"data": given} if isinstance(given, str | LongString) else given
