"""What is sent with a message: pictures, texts, documents. The docstrings are part of the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator

from bot.api.values import to_base64, to_image, to_storable, to_text
from bot.chats.api_service import ApiMessage
from bot.chats.attachments import rules
from bot.chats.attachments.base64_text import Base64Text
from bot.chats.attachments.rules import TextFile
from bot.chats.attachments.sent_files import file_from_base64, image_from_base64
from bot.runtime.memory import MemoryReservation

Text = Annotated[str, BeforeValidator(to_text), AfterValidator(to_storable)]
Base64 = Annotated[Base64Text, PlainValidator(to_base64, json_schema_input_type=str)]


class ImageIn(BaseModel):
    """A picture in base64: png, jpeg, gif or webp."""

    data: Base64 = Field(description="base64, or a data URL")
    type: str | None = Field(None, max_length=100, examples=["image/png"])
    name: Text | None = Field(None, max_length=200)


class ArtifactIn(BaseModel):
    """A text that belongs to the message."""

    name: Text = Field(max_length=200, examples=["notes.md"])
    type: Text = Field("text/plain", max_length=100, examples=["text/markdown"])
    content: Text = Field(max_length=rules.MAX_TEXT_LENGTH)


class FileIn(BaseModel):
    """A file in base64: a document, an image or a text."""

    name: Text = Field(max_length=200, examples=["report.pdf"])
    content: Base64 = Field(description="base64, or a data URL")
    type: Text | None = Field(None, max_length=100, examples=["application/pdf"])


SentImage = Annotated[ImageIn, BeforeValidator(to_image, json_schema_input_type=str | ImageIn)]


class WithAttachments(BaseModel):
    images: list[SentImage] | None = Field(
        None,
        description="data URLs or base64; at most 5 of 5 MB; nothing is fetched from addresses",
    )
    artifacts: list[ArtifactIn] | None = Field(
        None, description="texts; at most 10, together 200,000 characters"
    )
    files: list[FileIn] | None = Field(
        None,
        max_length=rules.MAX_API_FILES,
        description="pdf, docx, xlsx, pptx, odt, ods, rtf, epub, html, eml, images, texts and "
        "(where they are transcribed) voice clips; at most 5 of 10 MB",
    )

    async def to_message(
        self, text: str, reservation: MemoryReservation, key: str | None = None
    ) -> ApiMessage:
        """The message with its images and texts, which take memory from `reservation`. Raises InvalidInput."""
        texts = [TextFile(one.name, one.type, one.content) for one in self.artifacts or ()]
        text = rules.append_api_texts(text, texts)
        images = [
            await image_from_base64(one.data, one.name or "image")
            for one in (self.images or [])[: rules.MAX_API_IMAGES + 1]
        ]
        files = [
            await file_from_base64(one.content, one.name, one.type or "")
            for one in self.files or ()
        ]
        return ApiMessage(text, rules.limit_images(images), tuple(files), key, reservation)
