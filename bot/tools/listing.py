"""Reads lists of tools as their servers send them: one invalid tool does not cost the others.

The `mcp` package rejects a whole list because of one invalid tool. So each list is filtered first: only the fields in
use are kept, and an unusable tool is left out, with the reason. The package rejects whole results in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

from bot.tools.results import readable

MAX_SCHEMA = 50_000
"""Characters of the JSON schema of a tool's arguments, which is part of every request to a model."""
MAX_NAME = 1_000
"""Characters of a name."""
_SHOWN = 60
_UNSHOWABLE = re.compile(r"[^A-Za-z0-9_.:/-]+")
_HINTS = ("readOnlyHint", "idempotentHint")

NoteLeftOut = Callable[[str, str], None]
"""Called with the name of a tool that is left out, and the reason."""


def usable_tools(tools: Sequence[Any], note: NoteLeftOut) -> list[dict[str, Any]]:
    """The usable tools, in the protocol's form. `tools`: as a server sent them."""
    kept = []
    for number, tool in enumerate(tools, 1):
        if reason := _problem(tool):
            note(_shown(tool, number), reason)
        else:
            kept.append(_used_of(tool))
    return kept


def _problem(tool: Any) -> str | None:
    """Why a tool can't be used."""
    if not isinstance(tool, dict):
        return "it is not an object"
    name = tool.get("name")
    if not isinstance(name, str) or not name.strip():
        return "it has no name"
    if len(name) > MAX_NAME or not name.isprintable():
        return "its name is too long, or has characters that none may have"
    if not all(isinstance(tool.get(key), str | None) for key in ("description", "title")):
        return "its description is no text"
    return _schema_problem(tool.get("inputSchema"))


def _schema_problem(schema: Any) -> str | None:
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return "the schema of its arguments is not one of an object"
    if not isinstance(schema.get("properties", {}), dict):
        return "the schema of its arguments has no proper properties"
    if len(json.dumps(schema)) > MAX_SCHEMA:
        return f"the schema of its arguments has over {MAX_SCHEMA} characters"
    return None


def _used_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a tool that are used. Invalid hints count as missing, so the tool needs approval."""
    given = tool.get("annotations")
    hints = given if isinstance(given, dict) else {}
    texts = {key: tool[key] for key in ("description", "title") if tool.get(key)}
    return {
        "name": tool["name"],
        "inputSchema": {"type": "object", **tool["inputSchema"]},
        "annotations": {key: True for key in _HINTS if hints.get(key) is True},
        **texts,
    }


def _shown(tool: Any, number: int) -> str:
    """A name for logs and operators, safe to show on one line."""
    name = tool.get("name") if isinstance(tool, dict) else None
    shown = _UNSHOWABLE.sub("_", name)[:_SHOWN] if isinstance(name, str) else ""
    return shown or f"number {number}"


class _Stream(Protocol):
    """What `mcp` reads messages from."""

    async def receive(self) -> Any: ...
    async def aclose(self) -> None: ...
    async def __anext__(self) -> Any: ...


class FilteredStream:
    """A server's messages with lists of tools filtered, and results of calls repaired so that `mcp` can read them."""

    def __init__(self, stream: _Stream, note: NoteLeftOut) -> None:
        self._stream = stream
        self._note = note

    @property
    def last_context(self) -> Any:
        """The sender's context of the last message, for `mcp`."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        return self._filter(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._filter(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _filter(self, item: Any) -> Any:
        result = getattr(getattr(item, "message", None), "result", None)
        if not isinstance(result, dict):
            return item
        if isinstance(result.get("tools"), list):
            result["tools"] = usable_tools(result["tools"], self._note)
        elif result.keys() & {"content", "structuredContent"}:
            item.message.result = readable(result)
        return item
