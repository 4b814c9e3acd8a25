"""Text as people type it, as Slack stores it, and as people see it in blocks. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.sandbox.types import Json

_REFERENCE = re.compile(r"<(?:@[UW][A-Z0-9]+|#[CG][A-Z0-9]+|![a-z]+)(?:\|[^<>]*)?>")
_TYPED_TOKEN = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)"
    r"|(?P<reference><(?:@[UW][A-Z0-9]+|#[CG][A-Z0-9]+|![a-z]+)(?:\|[^<>]*)?>)"
    r"|(?P<url>https?://[^\s<>|`]+[^\s<>|`.,;:!?)\]'\"])"
    r"|(?P<name>(?<![\w@#])[@#][A-Za-z][\w.-]*)",
    re.DOTALL,
)
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


def escape(text: str) -> str:
    """Escape the three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def raw_text(text: str, find: Callable[[str], str | None]) -> str:
    """Turn what a person typed into Slack's raw text.

    `find` returns the reference (`<@U…>`) for a typed `@name` or `#name`, or None if there is no such name.
    References, links and names become `<…>`; everything else is escaped; code is only escaped.
    """
    parts: list[str] = []
    end = 0
    for match in _TYPED_TOKEN.finditer(text):
        parts.append(escape(text[end : match.start()]))
        parts.append(_typed_token(match, find))
        end = match.end()
    parts.append(escape(text[end:]))
    return "".join(parts)


def _typed_token(match: re.Match[str], find: Callable[[str], str | None]) -> str:
    token = match.group()
    if match["reference"]:
        return token
    if match["url"]:
        return f"<{escape(token)}>"
    if match["name"]:
        return _name_reference(token, find)
    return escape(token)


def _name_reference(token: str, find: Callable[[str], str | None]) -> str:
    """Finds a typed name that may end in punctuation: `@bobbin.` is the bot and a full stop."""
    name = token
    while len(name) > 1:
        reference = find(name)
        if reference:
            return reference + escape(token[len(name) :])
        if name[-1] not in ".-_":
            break
        name = name[:-1]
    return escape(token)


def mentioned_users(text: str) -> list[str]:
    """The user ids that raw text mentions, in order."""
    return _MENTION.findall(text)


def rich_text(text: str, block_id: str) -> Json:
    """The rich_text block that Slack makes from a person's raw text."""
    elements: list[Json] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        _add_text(elements, text[end : match.start()])
        elements.append(_reference_element(match.group()[1:-1].split("|")[0]))
        end = match.end()
    _add_text(elements, text[end:])
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}


def _reference_element(inner: str) -> Json:
    if inner[0] == "@":
        return {"type": "user", "user_id": inner[1:]}
    if inner[0] == "#":
        return {"type": "channel", "channel_id": inner[1:]}
    return {"type": "broadcast", "range": inner[1:]}


def _add_text(elements: list[Json], text: str) -> None:
    if text:
        plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        elements.append({"type": "text", "text": plain})


def blocks_text(blocks: Iterable[Json]) -> str:
    """The text of blocks as a person reads it, one line or paragraph each, without buttons and menus."""
    return "\n".join(text for text in map(_block_text, blocks) if text)


def _block_text(block: Json) -> str:
    reader = _READERS.get(str(block.get("type")))
    return reader(block) if reader else ""


def _text_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("text") or "")
    return value if isinstance(value, str) else ""


def _lines(values: Iterable[str]) -> str:
    return "\n".join(value for value in values if value)


def _rich(node: Any) -> str:
    if isinstance(node, list):
        return "".join(map(_rich, node))
    kind = str(node.get("type"))
    if "elements" in node:
        inner = _rich(node["elements"])
        return (
            inner + "\n"
            if kind in ("rich_text_section", "rich_text_preformatted", "rich_text_quote")
            else inner
        )
    if kind == "user":
        return f"<@{node.get('user_id')}>"
    if kind == "emoji":
        return f":{node.get('name')}:"
    return str(node.get("text") or node.get("url") or "")


def _table(block: Json) -> str:
    return _lines(" | ".join(_cell(cell) for cell in row) for row in block.get("rows", ()))


def _cell(cell: Json) -> str:
    return (
        _rich(cell).rstrip("\n")
        if cell.get("type") == "rich_text"
        else str(cell.get("text", cell.get("value", "")))
    )


_READERS: Mapping[str, Callable[[Json], str]] = {
    "markdown": lambda block: _text_of(block.get("text")),
    "header": lambda block: _text_of(block.get("text")),
    "section": lambda block: _lines(
        [_text_of(block.get("text")), *map(_text_of, block.get("fields", ()))]
    ),
    "context": lambda block: " ".join(
        filter(None, map(_text_of, map(_context_text, block.get("elements", ()))))
    ),
    "rich_text": lambda block: _rich(block.get("elements", [])).rstrip("\n"),
    "image": lambda block: _text_of(block.get("title")) or str(block.get("alt_text") or ""),
    "input": lambda block: _text_of(block.get("label")),
    "table": _table,
    "data_table": _table,
    "task_card": lambda block: _text_of(block.get("title")),
    "plan": lambda block: _text_of(block.get("title")),
    "card": lambda block: _lines(
        map(_text_of, (block.get("title"), block.get("subtitle"), block.get("body")))
    ),
    "alert": lambda block: _text_of(block.get("text")),
    "container": lambda block: blocks_text(block.get("blocks") or block.get("child_blocks") or ()),
}


def _context_text(element: Json) -> Any:
    return element if element.get("type") != "image" else ""
