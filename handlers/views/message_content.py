"""All text and files that a person sees in a Slack message, wherever Slack stores them. Pure.

A message has its own text and blocks, and `attachments` with forwarded messages, reports of apps, and link previews.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from bot import english_strings
from bot.domain import SharedFile
from bot.text.mention_marks import MENTION_MARK
from handlers.markdown.mrkdwn import readable
from handlers.markdown.plain_text import mrkdwn_escape
from handlers.views.block_text import blocks_text, dicts, text_object

Json = Mapping[str, Any]

MAX_DEPTH = 4
"""Forwards inside forwards beyond this depth are not read."""
THUMBNAIL_FIELDS = tuple(f"thumb_{edge}" for edge in (1024, 960, 800, 720, 480, 360))
"""Fields with Slack's thumbnails of a file, the largest first."""
MAX_FILE_NAME_LENGTH = 255
"""Characters of a file name that are kept."""
_FORWARD_MARKS = (
    "is_share",
    "is_msg_unfurl",
    "is_reply_unfurl",
    "is_thread_root_unfurl",
    "message_blocks",
)
"""Fields of attachments that show another Slack message."""
_UNNAMED_MARK = re.compile(r"<(?:@(?=[UW])|#(?=[CG]))([A-Z0-9]+)\|?>")
_LINK = re.compile(r"<([^<>|@#!][^<>|]*)")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a person sees in a message."""

    text: str = field(repr=False)
    """Its own text, then the attached texts; without the mention of the bot in its own text."""
    files: tuple[SharedFile, ...]
    """Its own files, then those in attachments such as forwarded messages, in order."""
    mentions: frozenset[str]
    """Ids of the users and channels mentioned anywhere in Slack's markup without a name beside the id."""
    own: str = field(repr=False)
    """The author's own text in Slack's markup: only this addresses somebody."""


def content_of(message: Json, bot_user: str) -> MessageContent:
    """What a person sees in a message, as events, threads and shortcuts describe it."""
    own = _own_words(message)
    attached = [text for each in _attachments(message) if (text := _attached(each, own))]
    texts = [_readable(own, bot_user), *map(_readable, attached)]
    files = {file.id: file for file in _files(message)}
    return MessageContent(
        text="\n\n".join(text for text in texts if text),
        files=tuple(files.values()),
        mentions=frozenset(_UNNAMED_MARK.findall("\n".join([own, *attached]))) - {bot_user},
        own=own,
    )


def _readable(raw: str, bot_user: str = "") -> str:
    """The text as a person reads it, in which the ids of `mentions` carry the MENTION_MARK."""

    def marked(mark: re.Match[str]) -> str:
        return mark[0] if mark[1] == bot_user else f"{mark[0][1]}{MENTION_MARK}{mark[1]}"

    return readable(_UNNAMED_MARK.sub(marked, raw.replace(MENTION_MARK, "")), bot_user)


def _own_words(message: Json) -> str:
    """The blocks, if they contain more than the text; in messages by people, blocks repeat the text."""
    text, blocks = _string(message.get("text")), message.get("blocks")
    is_written = all(block.get("type") == "rich_text" for block in dicts(blocks))
    is_written = is_written and not message.get("bot_id")
    return text if text and is_written else blocks_text(blocks) or text


# -- attachments ---------------------------------------------------------------------------------------------------


def _attachments(message: Json) -> list[Json]:
    return dicts(message.get("attachments"))


def _attached(attachment: Json, beside: str, depth: int = 0) -> str:
    """The text of one attachment. `beside`: the text that it is attached to, whose links it may preview."""
    if _is_forward(attachment):
        return _forward(attachment, depth)
    return "" if _is_preview(attachment, beside) else _report(attachment)


def _is_forward(attachment: Json) -> bool:
    is_message = bool(attachment.get("channel_id") and attachment.get("ts"))
    return is_message or any(attachment.get(mark) for mark in _FORWARD_MARKS)


def _is_preview(attachment: Json, beside: str) -> bool:
    """Whether it previews a link in the text."""
    urls = (
        _string(attachment.get(name)) for name in ("from_url", "original_url", "app_unfurl_url")
    )
    links = {_bare(link) for link in _LINK.findall(beside)}
    return any(_bare(mrkdwn_escape(url)) in links for url in urls if url)


def _bare(url: str) -> str:
    return _SCHEME.sub("", unquote(url)).rstrip("/").casefold()


def _forward(attachment: Json, depth: int) -> str:
    """A forwarded message as a quotation with its author's name."""
    body = _forwarded_words(attachment)
    if depth < MAX_DEPTH:
        parts = [attachment, *_forwarded_messages(attachment)]
        inner = [each for part in parts for each in _attachments(part)]
        body = _lines([body, *(_attached(each, body, depth + 1) for each in inner)])
    if not body and not any(_files(attachment)):
        body = _string(attachment.get("fallback"))
    author = _author(attachment)
    heading = (
        english_strings.FORWARDED_FROM.format(name=author) if author else english_strings.FORWARDED
    )
    return "\n".join([heading, *(f"&gt; {line}".rstrip() for line in body.splitlines())])


def _forwarded_words(attachment: Json) -> str:
    """Slack puts the text into the attachment, into the message inside it, or into both."""
    messages = _forwarded_messages(attachment)
    blocks = [block for message in messages for block in dicts(message.get("blocks"))]
    text = _string(attachment.get("text")) or _lines(_string(m.get("text")) for m in messages)
    words = _own_words({"text": text, "blocks": blocks})
    return _lines(dict.fromkeys([words, _report(attachment, forwarded=True)]))


def _forwarded_messages(attachment: Json) -> list[Json]:
    return dicts([part.get("message") for part in dicts(attachment.get("message_blocks"))])


def _author(attachment: Json) -> str:
    name = _string(attachment.get("author_name")) or _string(attachment.get("author_subname"))
    if name:
        return mrkdwn_escape(name)
    id = _string(attachment.get("author_id"))
    return f"<@{id}>" if id else ""


def _report(attachment: Json, *, forwarded: bool = False) -> str:
    """The report of an app. `forwarded`: without the text and author, which the forward has already shown."""
    if attachment.get("blocks"):
        words = [_string(attachment.get("pretext")), blocks_text(attachment.get("blocks"))]
    else:
        words = [*_heading(attachment, forwarded), *_fields(attachment), _footer(attachment)]
    if text := _lines(words):
        return text
    return "" if forwarded else _string(attachment.get("fallback"))


def _heading(attachment: Json, forwarded: bool) -> Iterator[str]:
    yield _string(attachment.get("pretext"))
    if not forwarded:
        by = _string(attachment.get("author_name")) or _string(attachment.get("service_name"))
        yield mrkdwn_escape(by)
    title, link = _string(attachment.get("title")), _string(attachment.get("title_link"))
    yield f"<{link}|{title}>" if title and link else title
    if not forwarded:
        yield _string(attachment.get("text"))


def _fields(attachment: Json) -> Iterator[str]:
    for each in dicts(attachment.get("fields")):
        title, value = text_object(each.get("title")), _field_value(each.get("value"))
        yield f"{title}: {value}" if title and value else title or value


def _field_value(value: object) -> str:
    return str(value) if type(value) in (int, float) else _string(value) or text_object(value)


def _footer(attachment: Json) -> str:
    # Slack itself writes below a forwarded message where it was posted.
    return "" if _is_forward(attachment) else _string(attachment.get("footer"))


# -- files ---------------------------------------------------------------------------------------------------------


def own_files(message: Json) -> list[SharedFile]:
    """The files of a message itself, in order."""
    descriptions = message.get("files")
    found = map(shared_file, descriptions) if isinstance(descriptions, list) else ()
    return [file for file in found if file is not None]


def _files(message: Json, depth: int = 0) -> Iterator[SharedFile]:
    """The message's own files, then those of its attachments."""
    yield from own_files(message)
    if depth < MAX_DEPTH:
        for attachment in _attachments(message):
            for part in (attachment, *_forwarded_messages(attachment)):
                yield from _files(part, depth + 1)


def shared_file(description: object) -> SharedFile | None:
    """One file from Slack's description of it; None if it is not a description."""
    if not isinstance(description, dict) or not isinstance(description.get("id"), str):
        return None

    def text(*names: str) -> str:
        return next(
            (value for name in names if isinstance(value := description.get(name), str) and value),
            "",
        )

    unknown = description.get("file_access") == "check_file_info"
    size = description.get("size")
    mode = "external" if description.get("is_external") is True else text("mode") or "hosted"
    return SharedFile(
        id=description["id"],
        name=text("name", "title")[:MAX_FILE_NAME_LENGTH],
        mime="" if unknown else _mime(text("mimetype"), text("subtype")),
        size=size if type(size) is int and size > 0 else None,
        url=None if unknown else text("url_private_download", "url_private") or None,
        thumb=text(*THUMBNAIL_FIELDS) or None,
        mode=mode,
    )


def _mime(mime: str, subtype: str) -> str:
    """Slack reports some voice clips as videos, because their container format may be one."""
    if subtype == "slack_audio" and not mime.startswith("audio/"):
        return f"audio/{mime.rpartition('/')[2].replace('quicktime', 'mp4') or 'mp4'}"
    return mime


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(text for text in texts if text)
