"""Turns a tool's result into text and pictures for a model, of limited size. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import TypeAdapter, ValidationError

from bot.english_strings import NOTHING_RETURNED
from bot.text.characters import whole_characters

MAX_RESULT = 20_000
"""Characters of one result that a model is sent."""


MAX_PICTURES = 4
"""Pictures of one result that are passed on."""
MAX_PICTURE = 28_000_000
"""Characters of base64 of one picture: twenty megabytes."""


_BLOCK = TypeAdapter[ContentBlock](ContentBlock)


def readable(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result in the protocol's form: content that violates the protocol or is newer than it is replaced by a note.

    `result`: as a server sent it. One bad part must not turn a call that took effect into one of unknown outcome.
    """
    made = dict(result)
    structured, content = made.get("structuredContent"), made.get("content")
    if structured is not None and not isinstance(structured, dict):
        del made["structuredContent"]
        content = content or [{"type": "text", "text": json.dumps(structured, ensure_ascii=False)}]
    content = [] if content is None else content
    made["content"] = (
        [_readable(each) for each in content] if isinstance(content, list) else content
    )
    return made


def _readable(content: Any) -> Any:
    try:
        _BLOCK.validate_python(content, by_name=False)
    except ValidationError:
        given = content if isinstance(content, dict) else {}
    else:
        return content
    text = given.get("text")
    if not isinstance(text, str):
        text = f"[Not passed on: {first_line([str(given.get('type', 'no content'))])}]"
    return {"type": "text", "text": text}


def returned(result: CallToolResult, *, pictures: bool) -> tuple[str, tuple[str, ...]]:
    """The text of a result for the model, and its pictures in base64. `pictures`: whether the model can see them."""
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
    """The base64 of content that claims to be a picture, unless it is too long."""
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
    """The text, or its beginning with a note of how much is missing. It contains only characters that can be stored."""
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
    """The first non-empty text, as one short line."""
    for text in texts:
        line = " ".join(text.split())
        if line:
            return line[:200]
    return ""
