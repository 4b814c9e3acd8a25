"""The reasoning text that a server reveals, in the fields of all providers. Pure.

OpenRouter, Groq, Ollama, vLLM: `reasoning`; DeepSeek, xAI, Venice, llama.cpp: `reasoning_content`; OpenRouter and
Venice: `reasoning_details` with texts and summaries; Mistral: parts of `content` of type `thinking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REASONING_FIELDS = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
_PARTS = ("thinking", "reasoning")
_TEXTS = ("text", "summary", "thinking", "reasoning", "content")
_MAX_DEPTH = 4
"""Levels of nested lists and objects that are searched."""


def reasoning_of(delta: Mapping[str, Any]) -> str:
    """The reasoning in one delta: from its first non-empty field, since several fields repeat each other."""
    for name in REASONING_FIELDS:
        if text := _text(delta.get(name)):
            return text
    content = delta.get("content")
    parts = content if isinstance(content, list) else [content]
    return "".join(
        _text(part) for part in parts if isinstance(part, dict) and part.get("type") in _PARTS
    )


def _text(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(_text(each, depth + 1) for each in value)
    if isinstance(value, dict):
        texts = (_text(value.get(name), depth + 1) for name in _TEXTS)
        return next((text for text in texts if text), "")
    return ""
