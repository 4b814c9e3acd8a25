"""Makes what a tool returned into text and pictures for a model, of a bounded size. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from bot.characters import whole_characters
from bot.english_strings import NOTHING_RETURNED

MAX_RESULT = 20_000
"""Characters of one result that a model is sent."""


MAX_PICTURES = 4
"""Pictures of one result that are passed on."""
MAX_PICTURE = 28_000_000
"""Characters of base64 of one picture: twenty megabytes."""


def returned(result: CallToolResult, *, pictures: bool) -> tuple[str, tuple[str, ...]]:
    """All that a model is to read of a result, and its pictures in base64. `pictures`: whether it can see them."""
    taken: list[str] = []
    parts: list[str] = []
    for content in result.content:
        picture = _picture(content) if pictures and len(taken) < MAX_PICTURES else None
        if picture is None:
            parts.append(_part(content))
        else:
            taken.append(picture)
            parts.append(f"[Picture {len(taken)}]")
    return _text(result, [part for part in parts if part]), tuple(taken)


def _picture(content: Any) -> str | None:
    """The base64 of what says that it is a picture, unless it is too long."""
    data = None
    if isinstance(content, ImageContent):
        data = content.data
    elif isinstance(content, EmbeddedResource):
        resource = content.resource
        if isinstance(resource, BlobResourceContents):
            is_picture = (resource.mime_type or "").startswith("image/")
            data = resource.blob if is_picture else None
    return data if data is not None and len(data) <= MAX_PICTURE else None


def _text(result: CallToolResult, parts: list[str]) -> str:
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return cut("\n\n".join(parts) or NOTHING_RETURNED)


def cut(text: str, limit: int = MAX_RESULT) -> str:
    """The text, or its beginning with a note of how much is missing. Its characters are such as can be stored."""
    text = whole_characters(text)
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[Cut here: this is {limit} of {len(text)} characters]"


def _part(content: Any) -> str:
    if isinstance(content, TextContent):
        return content.text
    if isinstance(content, EmbeddedResource):
        resource = content.resource
        if isinstance(resource, TextResourceContents):
            return resource.text
        return f"[A file that is not passed on: {resource.uri}]"
    if isinstance(content, ResourceLink):
        return f"[{content.name}: {content.uri}]"
    if isinstance(content, ImageContent | AudioContent):
        return f"[Not passed on: {content.mime_type}]"
    return ""


def first_line(texts: Iterable[str]) -> str:
    """The first text that says something, as one short line."""
    for text in texts:
        line = " ".join(text.split())
        if line:
            return line[:200]
    return ""
