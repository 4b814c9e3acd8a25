"""Marks which part of a prompt a server may cache, for models that need marks: Anthropic's and Alibaba's. Pure.

The server caches everything up to each mark, so the next request of the chat, which begins with the same messages, is
mostly read from the cache. OpenAI, DeepSeek, Gemini, xAI and most others do so without marks. Source: OpenRouter's
guide "Prompt caching"; Alibaba's "Context cache".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from bot.providers.base import ProviderSettings

_MARK = {"cache_control": {"type": "ephemeral"}}
_MARKED_TURNS = 2
"""How many of the newest user turns are marked: the last one for the next request, the one before because the previous
request marked it.
"""


_ROUTED = ("anthropic/", "qwen/", "deepseek/deepseek-v3.2")
"""Prefixes of model names at OpenRouter that need marks; it removes the marks for servers that do not support them."""
_HOSTS = ("anthropic.com", "aliyuncs.com")


def wants_marks(settings: ProviderSettings, model: str) -> bool:
    """Whether this model caches only what is marked."""
    if settings.kind == "openrouter":
        return model.lower().removeprefix("~").startswith(_ROUTED)
    host = urlsplit(settings.base_url).hostname or ""
    return settings.kind == "anthropic" or host.endswith(_HOSTS)


def with_marks(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, each as a list of parts, with marks at the system prompt and the newest user turns.

    All become lists, marked or not, so that a message looks the same in the next request.
    """
    users = [at for at, message in enumerate(messages) if message["role"] == "user"]
    marked = {
        *users[-_MARKED_TURNS:],
        *(at for at, m in enumerate(messages) if m["role"] == "system"),
    }
    return [_as_parts(message, at in marked) for at, message in enumerate(messages)]


def _as_parts(message: Mapping[str, Any], marked: bool) -> dict[str, Any]:
    content = message["content"]
    if message["role"] == "tool" or content is None:
        return dict(message)
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if marked and parts:
        parts[-1] = {**parts[-1], **_MARK}
    return {**message, "content": parts}
