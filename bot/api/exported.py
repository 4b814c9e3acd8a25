"""How OpenAPI describes an exported conversation, which `bot/chats/export.py` writes piece by piece."""

from __future__ import annotations

from pydantic import Field

from bot.api.answer_parts import SourceLink, StepOut
from bot.api.responses import Responses
from bot.api.schemas import CamelModel, ChatFields, Identifier, MessageFields
from bot.domain.model_options import Effort


class ExportedImage(CamelModel):
    name: str
    type: str = Field(examples=["image/png"])
    data: str = Field(description="The picture, in Base64.")


class ExportedFile(CamelModel):
    name: str
    type: str = Field(examples=["application/pdf"])
    data: str = Field(description="The document, in Base64.")


class ExportedCall(CamelModel):
    tool: str = Field(examples=["notes/add"])
    arguments: str = Field(description="As JSON.")
    status: str
    result: str
    asker: str | None
    decided_by: str | None


class ExportedMessage(MessageFields, CamelModel):
    sources: list[SourceLink] = Field(description="Of an answer that names any, in order.")
    steps: list[StepOut] = Field(description="What the model did besides writing, in order.")
    author: str | None = Field(description="Slack id of the person; null for answers.")
    calls: list[ExportedCall] = Field([], description="Of tools, for an answer that made any.")
    unread_files: list[str] = Field(description="Names of the files that were not read.")
    images: list[ExportedImage] = Field([], description="Of a message that has any.")
    files: list[ExportedFile] = Field(
        [], description="Scanned documents, which are kept as they are, of a message that has any."
    )


class ExportedChat(ChatFields, CamelModel):
    search: bool = Field(description="The web is searched.")
    reasoning: Effort | None = Field(description="How much its model is to reason.")
    owner: str = Field(description="Slack id of the person who started it.")
    context: str | None = Field(
        description="What was said in the thread before, or the summary of the conversation that this one continues."
    )
    continues: Identifier | None


class ExportedConversation(CamelModel):
    """A whole conversation, with its pictures and scanned documents."""

    conversation: ExportedChat
    messages: list[ExportedMessage]


EXPORT_RESPONSES: Responses = {
    200: {
        "model": ExportedConversation,
        "content": {"text/markdown": {"schema": {"type": "string"}}},
        "description": "The whole conversation as a file.",
    }
}
