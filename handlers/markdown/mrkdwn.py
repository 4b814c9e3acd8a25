"""Reads Slack's own markup, mrkdwn with marks such as `<@U1>` and `&amp;`, as people see it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot import english_strings
from handlers.markdown.plain_text import mrkdwn_escape

_MARK = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_KNOWN_MARK = re.compile(
    r"<(?:@[UWB]|#[CGD])[A-Z0-9]+(?:\|[^<>]*)?>"
    r"|<!(?:here|channel|everyone|subteam\^|date\^)[^<>]*>"
    r"|<(?:https?://|mailto:|tel:)[^<>\s]+?(?:\|[^<>]*)?>"
)
_SCHEME = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:\S", re.IGNORECASE)
"""How all links begin; other words in angle brackets are left alone, because some apps write them."""
_BROADCASTS = ("here", "channel", "everyone")
_ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""In this order, because a typed `&lt;` arrives as `&amp;lt;`."""


def readable(raw: str, bot_user: str = "") -> str:
    """The text as people read it, without the mentions of `bot_user`. An id without a name stays: `@U1`, `#C1`."""

    def replacement(mark: re.Match[str]) -> str:
        kind, target, label = mark.groups()
        match kind:
            case "@":
                return "" if target == bot_user else f"@{label or target}"
            case "#":
                return f"#{label or target}"
            case "!":
                return _command(target, label)
            case _ if _ADDRESS.match(target):
                return _link(target, label)
            case _:
                return str(mark[0])

    text = _MARK.sub(replacement, raw)
    for escaped, character in _ESCAPED:
        text = text.replace(escaped, character)
    return text.strip()


def _command(target: str, label: str | None) -> str:
    """A broadcast, a group, a date, or some future kind of sequence."""
    name, _, rest = target.partition("^")
    if name in _BROADCASTS:
        return f"@{name}"
    if label:
        return f"@{label}" if name == "subteam" and not label.startswith("@") else label
    if name == "date":
        return _date(rest.partition("^")[0])
    return (
        f"@{english_strings.GROUP}" if name == "subteam" else f"@{rest.partition('^')[0] or name}"
    )


def _date(seconds: str) -> str:
    """A date that Slack shows in the reader's time zone and language, here in UTC."""
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return seconds


def _link(address: str, label: str | None) -> str:
    """A link; only its text if that is the address, as in names that Slack mistook for one (`main.py`)."""
    shown = re.sub(r"^(?:mailto|tel):", "", address)
    if not label or label == shown:
        return shown
    return label if _bare(label) == _bare(address) else f"{label} ({shown})"


def _bare(address: str) -> str:
    return _SCHEME.sub("", address).rstrip("/").casefold()


def escape_markdown(text: str) -> str:
    """Markdown as mrkdwn, in which only Slack's own marks have a meaning: `List<String>` stays unchanged."""
    pieces, end = [], 0
    for mark in _KNOWN_MARK.finditer(text):
        pieces += [mrkdwn_escape(text[end : mark.start()]), mark[0]]
        end = mark.end()
    return "".join([*pieces, mrkdwn_escape(text[end:])])
