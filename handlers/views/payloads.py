"""What listeners need from Slack's payloads, as values. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.access.durations import is_duration
from bot.chats.attachments.rules import mark_unreadable
from bot.chats.messages import IncomingMessage
from bot.domain import Thread
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from handlers.views import blocks, modals, model_menu, model_options
from handlers.views.message_content import MessageContent, content_of
from handlers.views.modals import DialogTarget

MESSAGE_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages written by people. An allow-list, because Slack adds subtypes, and most are not written by
people.
"""
_LEADING_MENTION = re.compile(
    r"\s*<(?:@([A-Z0-9]+)|!(?:subteam\^|here|channel|everyone)[^>|]*)(?:\|[^>]*)?>"
)


def incoming_message(
    event: dict[str, Any], *, team: str, bot_user: str, transcribes: bool = False
) -> IncomingMessage | None:
    """What a user wrote; None for all other messages: bots, edits without a new mention, joins, the bot's own.

    `transcribes`: whether voice clips are transcribed.
    """
    user, ts, channel = event.get("user"), event.get("ts"), event.get("channel")
    if not (user and ts and channel) or user in (bot_user, "USLACKBOT"):
        return None
    # Slack sends the mention in an edited message like a new one.
    is_edited = bool(event.get("edited"))
    if event.get("subtype") not in MESSAGE_SUBTYPES or event.get("hidden"):
        return None
    if is_edited and event.get("type") != "app_mention":
        return None
    if any(event.get(mark) for mark in ("bot_id", "app_id", "bot_profile")):
        return None
    content = content_of(event, bot_user)
    direct = event.get("channel_type") == "im"
    mentioned = is_mentioned(bot_user, content)
    first = _LEADING_MENTION.match(content.own)
    own_team = event.get("user_team") or event.get("source_team")
    return IncomingMessage(
        thread=Thread(team, channel, event.get("thread_ts") or ts),
        ts=ts,
        user=user,
        text=content.text,
        addressed=mentioned or direct,
        # In a direct message there is no one else to address.
        to_others=bool(first and not mentioned and not direct),
        user_team=own_team if own_team and own_team != team else None,
        files=mark_unreadable(content.files, transcribes=transcribes),
        mentions=content.mentions,
        edited=is_edited,
    )


def is_mentioned(user: str, content: MessageContent) -> bool:
    """Whether the author's own text mentions the user. A mention in a forwarded message addresses nobody."""
    return bool(re.search(rf"<@{re.escape(user)}(\||>)", content.own))


@dataclass(frozen=True, slots=True)
class Reader:
    """The recipient of a notice, and where they are looking."""

    user: str
    channel: str = ""
    """Empty for their Home tab."""
    thread: str | None = None
    response_url: str = ""
    """Of the pressed element; may be empty."""


def reader_of(body: dict[str, Any]) -> Reader | None:
    """The user of an element, a command or a shortcut, and where they are; None for everything else from Slack."""
    url = body.get("response_url") or ""
    if body.get("command"):
        return Reader(body["user_id"], body.get("channel_id") or "", response_url=url)
    if body.get("type") not in ("block_actions", "shortcut", "message_action"):
        return None
    channel = (body.get("container") or {}).get("channel_id") or (body.get("channel") or {}).get(
        "id"
    )
    return Reader(body["user"]["id"], channel or "", _thread_of(body) or None, url)


def _thread_of(body: dict[str, Any]) -> str:
    """Ts of the thread that an interaction's message is in, or would start; a private message starts none."""
    container, message = body.get("container") or {}, body.get("message") or {}
    thread = container.get("thread_ts") or message.get("thread_ts")
    if thread or container.get("is_ephemeral"):
        return str(thread or "")
    return str(container.get("message_ts") or message.get("ts") or "")


@dataclass(frozen=True, slots=True)
class BlockAction:
    """A user used a button or a menu in a message (Slack's `block_actions`)."""

    user: str
    channel: str
    message_ts: str
    thread: str
    """Ts of the thread that the message is in, or would start; empty for a private message outside of threads."""
    block: str
    """Id of the block with the element."""
    value: str
    """Value of the button, or of the selected option."""
    response_url: str | None
    pressed_at: str | None = None
    """Slack's time of the press, the same whenever it is delivered again."""


def block_action(body: dict[str, Any]) -> BlockAction:
    """The first action of a block_actions payload."""
    action = body["actions"][0]
    container = body.get("container") or {}
    message = body.get("message") or {}
    selected = action.get("selected_option") or {}
    ts = container.get("message_ts") or message.get("ts") or ""
    return BlockAction(
        user=body["user"]["id"],
        channel=container.get("channel_id") or (body.get("channel") or {}).get("id") or "",
        message_ts=ts,
        thread=_thread_of(body),
        block=action.get("block_id", ""),
        value=selected.get("value") or action.get("value") or "",
        response_url=body.get("response_url"),
        pressed_at=action.get("action_ts"),
    )


def has_selection(body: dict[str, Any]) -> bool:
    """Whether any checkbox of the block action's element is checked."""
    return bool(body["actions"][0].get("selected_options"))


def selected_option(body: dict[str, Any]) -> dict[str, Any]:
    """The option that the block action's element has now."""
    return body["actions"][0].get("selected_option") or {}


def model_beside_button(body: dict[str, Any]) -> str:
    """Key of the model in the menu beside the pressed button: the user's last choice, else the preselected one.

    Raises ValueError if there is no menu of models beside the button.
    """
    block = body["actions"][0].get("block_id", "")
    state = ((body.get("state") or {}).get("values") or {}).get(block) or {}
    selected = (state.get(blocks.MODEL_MENU_ACTION) or {}).get("selected_option") or {}
    return selected.get("value") or model_menu.parse_model_select_block_id(block)[1]


def options_beside_menu(body: dict[str, Any]) -> ModelOptions:
    """The options chosen beside the menu or button."""
    values = (body.get("state") or {}).get("values") or {}
    return model_options.chosen_in(values, body["actions"][0].get("block_id", ""))


@dataclass(frozen=True, slots=True)
class DialogSubmission:
    """What a user submitted in the dialog."""

    dialog: str
    """Slack's id of this dialog; a submission with the same id is a redelivery."""
    user: str
    target: DialogTarget
    text: str = field(repr=False)
    model: str | None
    """Key of the chosen model."""
    has_menu: bool
    """Whether the dialog asked for a model."""
    user_team: str | None = None
    """The user's own workspace, if Slack names it."""
    about: str = field(default="", repr=False)
    """The message that the dialog quotes."""
    options: ModelOptions = NO_OPTIONS


def dialog_submission(body: dict[str, Any]) -> DialogSubmission:
    """Parses a view_submission of the dialog. Raises ValueError if its metadata is not the bot's."""
    view = body["view"]
    values = (view.get("state") or {}).get("values") or {}
    model_state = (values.get(modals.MODEL_BLOCK) or {}).get(modals.DIALOG_MODEL_ACTION) or {}
    text_state = (values.get(modals.TEXT_BLOCK) or {}).get(modals.DIALOG_TEXT_ACTION) or {}
    return DialogSubmission(
        dialog=view["id"],
        user=body["user"]["id"],
        target=DialogTarget.load(view.get("private_metadata") or ""),
        text=(text_state.get("value") or "").strip(),
        model=(model_state.get("selected_option") or {}).get("value"),
        user_team=body["user"].get("team_id"),
        about=modals.quoted_message(view.get("blocks") or ()),
        has_menu=any(
            block.get("block_id") == modals.MODEL_BLOCK for block in view.get("blocks") or ()
        ),
        options=model_options.chosen_in(
            values, model_options.SEARCH_BLOCK, model_options.REASONING_BLOCK
        ),
    )


@dataclass(frozen=True, slots=True)
class ShortcutMessage:
    """The message that a message shortcut was used on."""

    channel: str
    thread: str
    """Ts of the thread that the message is in, or would start."""
    text: str = field(repr=False)
    files: tuple[tuple[str, str], ...] = ()
    """Id and name of each file."""
    mentions: frozenset[str] = frozenset()
    """Ids of the users and channels that it mentions."""


def shortcut_message(body: dict[str, Any], bot_user: str) -> ShortcutMessage:
    """The message of a message_action payload, as a user reads it."""
    message = body.get("message") or {}
    ts = message.get("ts") or body.get("message_ts") or ""
    content = content_of(message, bot_user)
    return ShortcutMessage(
        channel=(body.get("channel") or {}).get("id") or "",
        thread=message.get("thread_ts") or ts,
        text=content.text,
        files=tuple((file.id, file.name) for file in content.files),
        mentions=content.mentions,
    )


class Subcommand(StrEnum):
    """Words that may follow the slash command's name. Any other text is a search."""

    HELP = "help"
    ACCESS = "token"
    REVOKE = "token revoke"
    USAGE = "usage"
    NEW = "new"
    HERE = "here"
    SEARCH = ""


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A user used the slash command."""

    name: str
    """As installed, including the slash."""
    user: str
    channel: str
    trigger: str
    response_url: str
    text: str
    """Everything after the name."""
    subcommand: Subcommand
    argument: str
    """What follows `new` or `token`."""


def _subcommand(text: str) -> tuple[Subcommand, str]:
    words = " ".join(text.lower().split())
    if words in set(Subcommand):
        return Subcommand(words), ""
    first, rest = (*text.split(maxsplit=1), "", "")[:2]
    if first.lower() == Subcommand.NEW or (
        first.lower() == Subcommand.ACCESS and is_duration(rest)
    ):
        return Subcommand(first.lower()), rest.strip()
    return Subcommand.SEARCH, ""


def slash_command(body: dict[str, Any]) -> SlashCommand:
    text = (body.get("text") or "").strip()
    subcommand, argument = _subcommand(text)
    return SlashCommand(
        name=body.get("command", "/chats"),
        user=body["user_id"],
        channel=body.get("channel_id") or "",
        trigger=body.get("trigger_id") or "",
        response_url=body.get("response_url") or "",
        text=text,
        subcommand=subcommand,
        argument=argument,
    )
