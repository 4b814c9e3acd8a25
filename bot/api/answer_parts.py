"""What an answer has besides its text, as the API shows it. The docstrings are part of the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from bot.steps import Step
from storage.pictures import Picture


class SourceLink(BaseModel):
    """A page that an answer rests on."""

    title: str
    url: str = Field(description="An https address.")


class PictureLink(BaseModel):
    """A picture of a message."""

    name: str
    type: str = Field(description="Its MIME type.")
    url: str = Field(description="Where it can be had with the same token.")

    @classmethod
    def of(cls, chat_id: str, picture: Picture) -> PictureLink:
        message = f"/chat/conversations/{chat_id}/messages/{picture.message_id}"
        return cls(name=picture.name, type=picture.mime, url=f"{message}/images/{picture.position}")


class StepOut(BaseModel):
    """What the model did besides writing."""

    kind: Literal["thinking", "search", "document", "tool"]
    name: str = Field(description="Of a tool; else empty.")
    status: Literal["running", "waiting", "done", "failed", "denied", "unknown"]
    seconds: float | None

    @classmethod
    def of(cls, step: Step) -> StepOut:
        return cls(
            kind=step.kind.value, name=step.name, status=step.status.value, seconds=step.seconds
        )
