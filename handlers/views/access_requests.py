"""Who does what through which entry point: the input for the access rules, from any payload of Slack. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.access.rules import DIRECT
from handlers.views import blocks
from handlers.views.modals import DialogTarget
from handlers.views.payloads import MESSAGE_SUBTYPES, Reader, reader_of


class EntryPoint(StrEnum):
    """The entry points through which people reach the bot in Slack. Each has its own kind of refusal."""

    MESSAGE = "message"
    HOME = "home"
    PANE = "pane"
    """Slack's own controls of agent sessions, and the empty pane: a refusal shows nothing there."""
    COMMAND = "command"
    PRESS = "press"
    """Buttons, menus and shortcuts."""
    OPTIONS = "options"
    """A menu requests its options."""
    DIALOG = "dialog"
    """A submitted dialog."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A person's action in Slack."""

    entry_point: EntryPoint
    user: str
    channel: str = ""
    """Empty if the action happens in none."""
    own_team: str | None = None
    """The account's home workspace or organisation, if Slack names it."""
    shared: bool = True
    """Whether people from other organisations may be in the channel."""
    reader: Reader | None = None
    """Where the person can be told something."""


def access_request_of(body: dict[str, Any]) -> AccessRequest | None:
    """The person's action; None for everything that no person does for themselves: joins, removals, messages of
    bots.
    """
    if isinstance(event := body.get("event"), dict):
        return _of_event(event, shared=body.get("is_ext_shared_channel") is not False)
    if body.get("command"):
        reader = reader_of(body)
        channel, own_team = body.get("channel_id") or "", body.get("team_id")
        return AccessRequest(EntryPoint.COMMAND, body["user_id"], channel, own_team, reader=reader)
    if isinstance(user := body.get("user"), dict):
        return _of_interaction(body, user)
    return None


_PANE_EVENTS = ("agent_session_stopped", "agent_session_title_changed")


def _of_event(event: dict[str, Any], *, shared: bool) -> AccessRequest | None:
    kind, user, channel = event.get("type"), event.get("user"), str(event.get("channel") or "")
    if not isinstance(user, str) or not user:
        return None
    if kind in ("message", "app_mention"):
        return _of_message(event, user, channel, shared)
    if kind == "app_home_opened":
        is_home = event.get("tab") == "home"
        if is_home:
            return AccessRequest(EntryPoint.HOME, user, shared=shared)
        return AccessRequest(EntryPoint.PANE, user, channel, shared=shared)
    return (
        AccessRequest(EntryPoint.PANE, user, channel, shared=shared)
        if kind in _PANE_EVENTS
        else None
    )


def _of_message(
    event: dict[str, Any], user: str, channel: str, shared: bool
) -> AccessRequest | None:
    if event.get("bot_id") or event.get("hidden") or event.get("subtype") not in MESSAGE_SUBTYPES:
        return None
    own_team = event.get("user_team") or event.get("source_team")
    thread = event.get("thread_ts") or event.get("ts")
    reader = Reader(user, channel, event.get("thread_ts") and thread)
    return AccessRequest(EntryPoint.MESSAGE, user, channel, own_team, shared, reader)


def _of_interaction(body: dict[str, Any], user: dict[str, Any]) -> AccessRequest | None:
    id, own_team = str(user.get("id") or ""), user.get("team_id")
    reader = reader_of(body)
    match body.get("type"):
        case "block_actions" | "message_action" | "shortcut":
            channel = reader.channel if reader is not None else ""
            return AccessRequest(EntryPoint.PRESS, id, channel, own_team, reader=reader)
        case "block_suggestion":
            return AccessRequest(EntryPoint.OPTIONS, id, _channel_of(body), own_team)
        case "view_submission":
            return AccessRequest(EntryPoint.DIALOG, id, _dialog_channel(body["view"]), own_team)
    return None


def _channel_of(body: dict[str, Any]) -> str:
    view = body.get("view") or {}
    if view.get("type") == "modal":
        return _dialog_channel(view)
    container, channel = body.get("container") or {}, body.get("channel") or {}
    return str(container.get("channel_id") or channel.get("id") or "")


def _dialog_channel(view: dict[str, Any]) -> str:
    """The channel that a dialog is about. A chat without a channel would start in the user's direct messages."""
    try:
        channel = DialogTarget.load(view.get("private_metadata") or "").channel
    except ValueError:  # not the bot's: its listener rejects it
        return ""
    starts_chat = view.get("callback_id") == blocks.NEW_CHAT_ACTION
    return channel or (DIRECT if starts_chat else "")
