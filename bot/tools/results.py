"""Makes what a tool returned into text for a model, of a bounded size. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mcp.types import (
    AudioContent,
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


def text_of(result: CallToolResult) -> str:
    """All that a model is to read of a result."""
    parts = [part for part in map(_part, result.content) if part]
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
