"""eml to Markdown: sender, recipients, date, text, nested mails, and the names of attachments."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message

from bot.documents.markdown import html_to_markdown
from bot.documents.problems import DocumentError, DocumentProblem
from bot.text.charsets import decode_stated

Part = Message
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_BEFORE_HEADERS = b"\xef\xbb\xbf\r\n\t "
"""What some programs write before the first header."""
MAX_DEPTH = 20
"""Levels of nested mails, and of nested parts."""
_MAX_HEADER = 20_000
"""Characters of one header: decoding encoded words takes quadratic time."""
_TABLE = "| --- |"
_RICHER = 2
"""The HTML part replaces the plain text that accompanies it if it has this many times as many words."""


def read_email(data: bytes) -> Iterator[str]:
    """Raises DocumentError if it is not a message."""
    message = email.message_from_bytes(data.lstrip(_BEFORE_HEADERS), policy=email.policy.compat32)
    if not any(message[name] for name in _HEADERS):
        raise DocumentError(DocumentProblem.BROKEN)
    return _message(message, 0)


def _message(message: Part, depth: int) -> Iterator[str]:
    stated = {name.lower(): value for name, value in reversed([*message.raw_items()])}
    yield "\n".join(
        f"{name}: {_header(stated[name.lower()])}" for name in _HEADERS if name.lower() in stated
    )
    attached: list[str] = []
    yield from _texts(message, depth, attached)
    if attached:
        yield f"Attached to this e-mail: {', '.join(attached)}"


def _header(value: str) -> str:
    """Decodes encoded words (RFC 2047), and guesses the encoding of bytes beyond ASCII."""
    value = value[:_MAX_HEADER]
    try:
        text = str(make_header(decode_header(value)))
    except (LookupError, ValueError):  # email.errors.HeaderParseError too
        text = value
    return " ".join(_guessed(text).split())


def _guessed(text: str) -> str:
    """Decodes the text's raw bytes, which Python keeps as lone surrogates."""
    try:
        return decode_stated(text.encode("utf-8", "surrogateescape"), None)
    except UnicodeEncodeError:
        return text


def _texts(part: Part, depth: int, attached: list[str]) -> Iterator[str]:
    """The texts within a part, in order; adds the names of other contents to `attached`."""
    kind = part.get_content_type()
    if depth > MAX_DEPTH:
        return
    if kind == "message/rfc822":
        for inner in _children(part):
            yield "---\nA forwarded e-mail:"
            yield from _message(inner, depth + 1)
    elif kind == "message/delivery-status":
        for inner in _children(part):
            yield "\n".join(f"{name}: {_header(value)}" for name, value in inner.raw_items())
    elif kind == "multipart/alternative":
        yield _best([_heard(each, depth, attached) for each in _children(part)])
    elif part.is_multipart():
        for each in _children(part):
            yield from _texts(each, depth + 1, attached)
    elif _is_text(part):
        yield _text(part)
    else:
        attached.append(_name(part))


def _children(part: Part) -> list[Part]:
    payload = part.get_payload()
    return (
        [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []
    )


def _heard(part: Part, depth: int, attached: list[str]) -> str:
    return "\n\n".join(filter(None, _texts(part, depth + 1, attached)))


def _best(choices: list[str]) -> str:
    """The best of several forms of the same text, in which the richest comes last: the first, unless another one says
    more.
    """
    best = next(filter(None, choices), "")
    for other in choices:
        more = len(re.findall(r"\w+", other)) > _RICHER * len(re.findall(r"\w+", best))
        if more or (_TABLE in other and _TABLE not in best):
            best = other
    return best


def _is_text(part: Part) -> bool:
    """Whether the part is text; a mail that ends before its first part is, too."""
    return part.get_content_disposition() != "attachment" and (
        part.get_content_maintype() in ("text", "multipart")
    )


def _name(part: Part) -> str:
    try:
        name = part.get_filename()
    except (LookupError, ValueError):
        name = None
    return _header(name) if name else part.get_content_type()


def _text(part: Part) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset()
    if part.get_content_type() != "text/html":
        return decode_stated(payload, charset).strip()
    return html_to_markdown(decode_stated(payload, charset) if charset else payload)
