"""Parses untrusted JSON from servers and models. Pure."""

from __future__ import annotations

import json
from typing import Any

_MOST_DEPTH = 100
"""Levels of arrays and objects: deeper values would exhaust the stack of any code that walks them."""


def parsed(text: str | bytes | bytearray, *, strict: bool = True) -> Any:
    """The value of a JSON text. Raises ValueError if it is invalid or nested too deeply.

    `strict`: strings must not contain control characters.
    """
    try:
        value = json.loads(text, strict=strict)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _may_be_deep(text) and _is_too_deep(value):
        raise ValueError("nested too deeply")
    return value


def _may_be_deep(text: str | bytes | bytearray) -> bool:
    """A quick check, for pieces of streams: each level of nesting needs an opening bracket."""
    if isinstance(text, str):
        return text.count("{") + text.count("[") >= _MOST_DEPTH
    return text.count(b"{") + text.count(b"[") >= _MOST_DEPTH


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MOST_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: Any) -> list[Any]:
    """The arrays and objects directly inside."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return []
    return [each for each in value if isinstance(each, (dict, list))]
