"""What the methods that post or edit messages share: content checks, author fields, thread targets."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, Revision
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.validation.blocks import MAX_MARKDOWN_LENGTH, check_message_blocks
from bot.sandbox.web_api.calls import Call

MAX_TEXT_LENGTH = 40_000
MAX_ATTACHMENTS = 100


def parse_content(call: Call, *, text_max: int | None = None) -> tuple[Revision, Json]:
    """The content of a post or an edit, and the warnings for the response.

    `text_max` is the length beyond which `text` is refused (chat.update); without it, text is cut at 40,000.
    """
    args = call.args
    blocks = args.items("blocks", "invalid_blocks_format") or []
    limits = call.workspace.limits
    text = args.text("text")
    markdown = args.text("markdown_text") if limits.markdown_text else ""
    if markdown and (text or blocks):
        raise SlackRefusal("markdown_text_conflict")
    if markdown:
        if len(markdown) > MAX_MARKDOWN_LENGTH:
            raise SlackRefusal("msg_too_long")
        return call.workspace.revision("markdown", markdown, []), {}
    attachments = args.items("attachments", "invalid_attachments") or []
    if not text and not blocks and not attachments:
        raise SlackRefusal("no_text")
    if text_max is not None and len(text) > text_max:
        raise SlackRefusal("msg_too_long")
    if not limits.markdown_blocks and any(b.get("type") == "markdown" for b in blocks):
        raise SlackRefusal("invalid_blocks", "unsupported type: markdown")
    check_message_blocks(blocks)
    named = call.workspace.with_block_ids(blocks)
    warnings: Json = {}
    if len(text) > MAX_TEXT_LENGTH:
        text = text[:MAX_TEXT_LENGTH]
        warnings = {
            "warning": "message_truncated",
            "response_metadata": {"warnings": ["message_truncated"]},
        }
    return call.workspace.revision("mrkdwn", text, named), warnings


_COLORS = {"good": "2eb886", "warning": "daa038", "danger": "a30200"}


def checked_attachments(workspace: Workspace, given: list[Json]) -> list[Json]:
    """Attachments as Slack keeps them: numbered, with plain colours and ids on their blocks.

    Raises SlackRefusal for more than a hundred, and for blocks that Slack refuses.
    """
    if len(given) > MAX_ATTACHMENTS:
        raise SlackRefusal("too_many_attachments")
    return [_attachment(workspace, number, each) for number, each in enumerate(given, 1)]


def _attachment(workspace: Workspace, number: int, given: Json) -> Json:
    kept = {"id": number, "fallback": "[no preview available]", **given}
    if isinstance(color := given.get("color"), str):
        kept["color"] = _COLORS.get(color, color.lstrip("#"))
    if blocks := given.get("blocks"):
        check_message_blocks(blocks)
        kept["blocks"] = workspace.with_block_ids(blocks)
    return kept


def author_fields(call: Call) -> dict[str, Any]:
    """The author fields of the app's message; another name or icon needs chat:write.customize."""
    bot = call.workspace.bot
    username = call.args.text("username") or None
    icon = call.args.text("icon_emoji") or call.args.text("icon_url") or None
    if username or icon:
        call.needs("chat:write.customize")
    return {
        "user": bot.id,
        "bot_id": bot.bot_id,
        "app_id": bot.app_id,
        "username": username,
        "icon": icon,
    }


def parse_attachments(call: Call) -> list[Json] | None:
    """The call's attachments; None if it names none."""
    given = call.args.items("attachments", "invalid_attachments")
    return None if given is None else checked_attachments(call.workspace, given)


def reply_target(call: Call, channel: Channel) -> str | None:
    """The root of the thread to post in; `invalid_thread_ts` if there is no such message or it is a reply."""
    thread_ts = call.args.text("thread_ts")
    if not thread_ts:
        return None
    parent = channel.messages.get(thread_ts)
    if parent is None or parent.root != parent.ts:
        raise SlackRefusal("invalid_thread_ts")
    return parent.ts


def parse_metadata(call: Call) -> Json | None:
    """Message metadata, which must have a type and a payload."""
    metadata = call.args.structure("metadata", "invalid_metadata_format")
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or not {"event_type", "event_payload"} <= metadata.keys():
        raise SlackRefusal("invalid_metadata_format")
    return metadata
