"""Files that belong to messages: shared ones before they are read, images and documents as they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Image:
    """An image for a model that accepts images."""

    name: str
    mime: str
    data: bytes = field(repr=False)


class AttachmentKind(StrEnum):
    """How people refer to an attachment."""

    IMAGE = "image"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A stored image, or a stored scanned PDF, without its bytes, which are read when they are sent.

    It belongs to a message, or to the tool call that returned it.
    """

    holder_id: str
    """The id of its message, or of the tool call that returned it."""
    position: int
    """From 0, within its message or call."""
    name: str
    mime: str
    size: int
    """Bytes."""
    of_call: bool = False
    """Whether `holder_id` is the id of a call."""

    @property
    def kind(self) -> AttachmentKind:
        return AttachmentKind.DOCUMENT if self.is_pdf else AttachmentKind.IMAGE

    @property
    def is_pdf(self) -> bool:
        return self.mime == PDF


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file shared in Slack, as Slack describes it. Its content is downloaded when a prompt needs it.

    Stored as JSON: renaming a field needs a migration.
    """

    id: str
    name: str
    mime: str = ""
    """The type that Slack states. The content itself is checked as well."""
    size: int | None = None
    """Bytes, if Slack states it."""
    url: str | None = None
    """None while the file is being uploaded, or when `files.info` must be called first."""
    thumb: str | None = None
    """URL of Slack's largest thumbnail, which is always png or jpeg."""
    mode: str = "hosted"
    """`hosted`, `snippet`, `external`, `tombstone`, `hidden_by_limit`, …"""
    problem: str | None = None
    """Why it cannot be read: a key of `bot.strings.FILE_PROBLEMS`. None while unknown, or when it was read."""
    before: bool = False
    """Shared by anyone in the thread before the chat started. No notice is sent if it cannot be used."""
