"""From Slack's payloads to the domain's values. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from bot.chats.attachments.rules import review
from bot.chats.messages import IncomingMessage
from bot.domain import SharedFile, Thread
from handlers.views import modals
from handlers.views.modals import Wanted

HEARD_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""An allow-list: Slack invents new subtypes, and most are no speech."""
THUMBS = tuple(f"thumb_{edge}" for edge in (1024, 960, 800, 720, 480, 360))
"""Slack's small pictures of a file, the largest first."""
LONGEST_NAME = 255
"""Characters of a file's name that are kept."""
_CONTROL = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_LEADING_MENTION = re.compile(
    r"\s*<(?:@([A-Z0-9]+)|!(?:subteam\^|here|channel|everyone)[^>|]*)(?:\|[^>]*)?>"
)


def utterance(event: dict[str, Any], *, team: str, bot_user: str) -> IncomingMessage | None:
    """What a person said, or None for everything else: bots, edits, joins, the bot's own messages."""
    user, ts, channel = event.get("user"), event.get("ts"), event.get("channel")
    if not (user and ts and channel) or user in (bot_user, "USLACKBOT"):
        return None
    if event.get("subtype") not in HEARD_SUBTYPES or event.get("hidden") or event.get("edited"):
        return None
    if any(event.get(mark) for mark in ("bot_id", "app_id", "bot_profile")):
        return None
    raw = event.get("text") or ""
    direct = event.get("channel_type") == "im"
    mentioned = bool(re.search(rf"<@{re.escape(bot_user)}(\||>)", raw))
    first = _LEADING_MENTION.match(raw)
    own_team = event.get("user_team") or event.get("source_team")
    return IncomingMessage(
        thread=Thread(team, channel, event.get("thread_ts") or ts),
        ts=ts,
        user=user,
        text=readable(raw, bot_user),
        addressed=mentioned or direct or event.get("type") == "app_mention",
        to_others=bool(
            first and not mentioned and not direct
        ),  # nobody else is there in a direct message
        user_team=own_team if own_team and own_team != team else None,
        files=review(shared_files(event)),
    )


def shared_files(message: dict[str, Any]) -> list[SharedFile]:
    """The files of a message, in order."""
    told = message.get("files")
    return [
        file
        for file in map(shared_file, told if isinstance(told, list) else ())
        if file is not None
    ]


def shared_file(told: object) -> SharedFile | None:
    """One file as Slack describes it; None for what is no description."""
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        return None

    def text(*names: str) -> str:
        return next(
            (value for name in names if isinstance(value := told.get(name), str) and value), ""
        )

    unknown = told.get("file_access") == "check_file_info"
    size = told.get("size")
    mode = "external" if told.get("is_external") is True else text("mode") or "hosted"
    return SharedFile(
        id=told["id"],
        name=text("name", "title")[:LONGEST_NAME],
        mime="" if unknown else text("mimetype"),
        size=size if type(size) is int and size > 0 else None,
        url=None if unknown else text("url_private_download", "url_private") or None,
        thumb=text(*THUMBS) or None,
        mode=mode,
    )


def readable(raw: str, bot_user: str) -> str:
    """A message's text as a person reads it, without the mention of the bot."""

    def plainly(found: re.Match[str]) -> str:
        kind, target, label = found.groups()
        if kind == "@":
            return "" if target == bot_user else f"@{label or target}"
        if kind == "#":
            return f"#{label or target}"
        if kind == "!":
            return label or f"@{target.split('^')[0]}"
        address = target.removeprefix("mailto:")
        return address if not label or label == address else f"{label} ({address})"

    return html.unescape(_CONTROL.sub(plainly, raw)).strip()


@dataclass(frozen=True, slots=True)
class Press:
    """A person used a button or a menu in a message."""

    user: str
    channel: str
    message_ts: str
    thread: str
    action: str
    block: str
    value: str
    response_url: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """What a person submitted in the dialog."""

    dialog: str
    """Slack's id of this one dialog: the same id again is the same submission."""
    user: str
    wanted: Wanted
    text: str = field(repr=False)
    model: str | None
    """Key of the chosen model."""
    has_menu: bool
    """Whether the dialog asked for a model."""
    user_team: str | None = None
    """The person's own workspace, as far as it is told."""


def submission(body: dict[str, Any]) -> Submission:
    """A view_submission of the dialog. Raises ValueError for one whose metadata is not ours."""
    view = body["view"]
    values = (view.get("state") or {}).get("values") or {}
    chosen = ((values.get(modals.MODEL_BLOCK) or {}).get(modals.DIALOG_MODEL) or {}).get(
        "selected_option"
    ) or {}
    written = ((values.get(modals.TEXT_BLOCK) or {}).get(modals.DIALOG_TEXT) or {}).get("value")
    return Submission(
        dialog=view["id"],
        user=body["user"]["id"],
        wanted=Wanted.load(view.get("private_metadata") or ""),
        text=(written or "").strip(),
        model=chosen.get("value"),
        user_team=body["user"].get("team_id"),
        has_menu=any(
            block.get("block_id") == modals.MODEL_BLOCK for block in view.get("blocks") or ()
        ),
    )


@dataclass(frozen=True, slots=True)
class About:
    """The message that a shortcut was used on."""

    channel: str
    thread: str
    """Of the thread it is in, or would begin."""
    text: str = field(repr=False)
    files: tuple[tuple[str, str], ...] = ()
    """Id and name of each."""


def message_of(body: dict[str, Any], bot_user: str) -> About:
    """The message of a message_action payload, as a person reads it."""
    message = body.get("message") or {}
    ts = message.get("ts") or body.get("message_ts") or ""
    attached = (one.get("text") or one.get("fallback") for one in message.get("attachments") or ())
    raw = message.get("text") or next((text for text in attached if text), "")
    channel = (body.get("channel") or {}).get("id") or ""
    files = tuple((file.id, file.name) for file in shared_files(message))
    return About(channel, message.get("thread_ts") or ts, readable(raw, bot_user), files)


def press(body: dict[str, Any]) -> Press:
    """The (first) action of a block_actions payload."""
    action = body["actions"][0]
    container = body.get("container") or {}
    message = body.get("message") or {}
    chosen = action.get("selected_option") or {}
    ts = container.get("message_ts") or message.get("ts") or ""
    return Press(
        user=body["user"]["id"],
        channel=container.get("channel_id") or (body.get("channel") or {}).get("id") or "",
        message_ts=ts,
        thread=container.get("thread_ts") or message.get("thread_ts") or ts,
        action=action.get("action_id", ""),
        block=action.get("block_id", ""),
        value=chosen.get("value") or action.get("value") or "",
        response_url=body.get("response_url"),
    )
