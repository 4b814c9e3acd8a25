"""The text that a person sees in Block Kit blocks, as mrkdwn with Slack's own marks. Pure.

Buttons, menus and input fields are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from handlers.markdown.mrkdwn import escape_markdown
from handlers.markdown.plain_text import mrkdwn_escape

Json = Mapping[str, Any]

MAX_DEPTH = 8
"""Blocks inside blocks beyond this depth are not read."""


def blocks_text(blocks: object, depth: int = 0) -> str:
    """The text of blocks, one line or paragraph each."""
    if depth > MAX_DEPTH:
        return ""
    return _lines(_block(block, depth) for block in dicts(blocks))


def _block(block: Json, depth: int) -> str:
    if (reader := _READERS.get(str(block.get("type")))) is not None:
        return reader(block)
    inner = (blocks_text(block.get(name), depth + 1) for name in _CONTAINERS)
    return _lines([_WORDS(block), *inner])


def text_object(value: object) -> str:
    """A text object: mrkdwn as it is, anything else with its special characters escaped."""
    if not isinstance(value, Mapping):
        return mrkdwn_escape(value) if isinstance(value, str) else ""
    text = value.get("text")
    if isinstance(text, str):
        return text if value.get("type") == "mrkdwn" else mrkdwn_escape(text)
    return _inline(value.get("elements")) if value.get("type") == "rich_text" else ""


def _named(*names: str) -> Callable[[Json], str]:
    """Reads the text objects with these names, one line each."""
    return lambda block: _lines(text_object(block.get(name)) for name in names)


def _section(block: Json) -> str:
    fields = block.get("fields")
    values = fields if isinstance(fields, list) else []
    beside = map(_element, dicts([block.get("accessory")]))
    return _lines([text_object(block.get("text")), *map(text_object, values), *beside])


def _elements(block: Json) -> str:
    return _lines(map(_element, dicts(block.get("elements"))))


def _element(element: Json) -> str:
    """The text of an element apart from its function: a picture's, or the lines of a checklist."""
    if element.get("type") == "image":
        return text_object(element.get("alt_text"))
    if element.get("type") in ("checkboxes", "radio_buttons"):
        options = (text_object(option.get("text")) for option in dicts(element.get("options")))
        return _lines(f"• {option}" for option in options if option)
    return ""


def _context(block: Json) -> str:
    elements = dicts(block.get("elements"))
    return " ".join(filter(None, (text_object(each) or _element(each) for each in elements)))


def _call(block: Json) -> str:
    call = block.get("call")
    versions = dicts([*call.values()]) if isinstance(call, Mapping) else []
    return _lines(_NAMED_LINK(version) for version in versions)


def _plan(block: Json) -> str:
    tasks = (text_object(task.get("title")) for task in dicts(block.get("tasks")))
    return _lines([text_object(block.get("title")), *tasks])


def _image(block: Json) -> str:
    return text_object(block.get("title")) or text_object(block.get("alt_text"))


def _table(block: Json) -> str:
    rows = block.get("rows")
    cells = (row for row in rows if isinstance(row, list)) if isinstance(rows, list) else ()
    lines = [" | ".join(map(_cell, dicts(row))) for row in cells]
    return _lines([text_object(block.get("caption")), *lines])


def _cell(cell: Json) -> str:
    if cell.get("type") == "rich_text":
        return _rich_text(cell).replace("\n", " ")
    value = cell.get("text", cell.get("value", ""))
    return mrkdwn_escape(str(value))


# -- rich text -----------------------------------------------------------------------------------------------------


def _rich_text(block: Json) -> str:
    return _lines(_rich_part(part) for part in dicts(block.get("elements")))


def _rich_part(part: Json) -> str:
    kind, inner = part.get("type"), part.get("elements")
    if kind == "rich_text_list":
        return _list(part)
    text = _inline(inner).rstrip("\n")
    if kind == "rich_text_quote":
        return "\n".join(f"&gt; {line}" for line in text.splitlines())
    if kind == "rich_text_preformatted":
        return f"```\n{text}\n```"
    return text


def _list(part: Json) -> str:
    ordered = part.get("style") == "ordered"
    margin = "  " * _number(part.get("indent"))
    return _lines(
        f"{margin}{f'{number}.' if ordered else '•'} {_inline(item.get('elements'))}"
        for number, item in enumerate(dicts(part.get("elements")), _number(part.get("offset")) + 1)
    )


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1_000 else 0


def _inline(elements: object) -> str:
    return "".join(map(_inline_element, dicts(elements)))


def _inline_element(element: Json) -> str:
    values = {name: mrkdwn_escape(str(value)) for name, value in element.items()}
    kind = element.get("type", "text")
    if kind == "link":
        url, label = str(element.get("url") or ""), values.get("text")
        return f"<{url}|{label}>" if label else f"<{url}>"
    if (template := _INLINE.get(str(kind))) is not None:
        return _styled(template.format_map(defaultdict(str, values)), element.get("style"))
    return _inline(element.get("elements")) or values.get("text", "")


def _styled(text: str, style: object) -> str:
    """The text with the marks of those styles that change its meaning."""
    for name, mark in (("code", "`"), ("strike", "~")):
        if isinstance(style, Mapping) and style.get(name) is True and text.strip():
            text = f"{mark}{text}{mark}"
    return text


_INLINE: Mapping[str, str] = {
    "text": "{text}",
    "user": "<@{user_id}>",
    "channel": "<#{channel_id}>",
    "usergroup": "<!subteam^{usergroup_id}>",
    "broadcast": "<!{range}>",
    "emoji": ":{name}:",
    "date": "<!date^{timestamp}^|{fallback}>",
    "color": "{value}",
}
"""How a person sees each inline element, as mrkdwn."""


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(text for text in texts if text)


def dicts(values: object) -> list[Json]:
    """The objects in a list that should contain only objects."""
    return (
        [each for each in values if isinstance(each, Mapping)] if isinstance(values, list) else []
    )


def _nothing(_: Json) -> str:
    return ""


_CONTAINERS = ("blocks", "child_blocks", "elements")
_WORDS = _named("title", "text", "subtitle", "description", "body")
"""Reads a block of an unknown kind: the fields that most kinds have."""
_NAMED_LINK = _named("name", "join_url")

_READERS: Mapping[str, Callable[[Json], str]] = {
    "section": _section,
    "header": _named("text"),
    "markdown": lambda block: escape_markdown(str(block.get("text") or "")),
    "context": _context,
    "rich_text": _rich_text,
    "image": _image,
    "video": _named("title", "author_name", "description"),
    "table": _table,
    "data_table": _table,
    "task_card": _named("title", "details", "output"),
    "plan": _plan,
    "call": _call,
    "card": _named("title", "subtitle", "body"),
    "alert": _named("text"),
    "actions": _elements,
    "context_actions": _nothing,
    "input": _nothing,
    "divider": _nothing,
}
