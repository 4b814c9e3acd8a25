"""`conversations.*` methods that open, create or change a conversation or its members."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.channel_changes import (
    archive_channel,
    create_channel,
    rename_channel,
    set_purpose,
    set_topic,
)
from bot.sandbox.state.records import Channel
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.conversations import channel_json

MAX_NAME_LENGTH = 80
MAX_TEXT_LENGTH = 250
MAX_DM_USERS = 8
_MANAGE = {
    "channel": ("channels:manage",),
    "group": ("groups:write",),
    "im": ("im:write",),
    "mpim": ("mpim:write",),
}
_INVITE = {
    "channel": ("channels:manage", "channels:write.invites"),
    "group": ("groups:write", "groups:write.invites"),
}
_TOPIC = {
    "channel": ("channels:manage", "channels:write.topic"),
    "group": ("groups:write", "groups:write.topic"),
    "im": ("im:write", "im:write.topic"),
    "mpim": ("mpim:write", "mpim:write.topic"),
}


def conversations_open(call: Call) -> Json:
    """`conversations.open`: a DM or group DM with `users`, or an existing one by `channel`."""
    if "channel" in call.args:
        channel = call.channel()
    else:
        users = call.args.strings("users")
        if not users or any(user not in call.workspace.users for user in users):
            raise SlackRefusal("user_not_found" if users else "users_list_not_supplied")
        if len(users) > MAX_DM_USERS:
            raise SlackRefusal("too_many_users")
        channel = call.workspace.open_dm([*users, call.workspace.bot.id])
    shown = (
        channel_json(call.workspace, channel) if call.args.flag("return_im") else {"id": channel.id}
    )
    return {"channel": shown}


def conversations_close(call: Call) -> Json:
    """`conversations.close`: for DMs; has no effect, since the page has no closed ones."""
    if call.channel().type not in ("im", "mpim"):
        raise SlackRefusal("method_not_supported_for_channel_type")
    return {}


def conversations_create(call: Call) -> Json:
    """`conversations.create`: the app is the first member."""
    private = call.args.flag("is_private")
    call.needs(*_MANAGE["group" if private else "channel"])
    name = _name(call)
    channel = create_channel(call.workspace, name, call.workspace.bot.id, private=private)
    return {"channel": channel_json(call.workspace, channel)}


def _name(call: Call) -> str:
    name = call.args.text("name").lstrip("#")
    if not name:
        raise SlackRefusal("invalid_name_required")
    if len(name) > MAX_NAME_LENGTH:
        raise SlackRefusal("invalid_name_maxlength")
    if name != name.lower() or re.search(r"[^\w-]", name):
        raise SlackRefusal("invalid_name_specials")
    if not re.search(r"\w", name.replace("_", "")):
        raise SlackRefusal("invalid_name_punctuation")
    return name


def conversations_rename(call: Call) -> Json:
    """`conversations.rename`: only of a channel that the app has created."""
    channel = _managed(call, _MANAGE, "channel", "group")
    if channel.creator != call.workspace.bot.id:
        raise SlackRefusal("not_authorized")
    rename_channel(call.workspace, channel, _name(call))
    return {"channel": channel_json(call.workspace, channel)}


def conversations_archive(call: Call) -> Json:
    """`conversations.archive`."""
    channel = call.channel()
    if channel.is_archived:
        raise SlackRefusal("already_archived")
    channel = _managed(call, _MANAGE, "channel", "group")
    if channel.name == "general":
        raise SlackRefusal("cant_archive_general")
    archive_channel(call.workspace, channel, call.workspace.bot.id, archived=True)
    return {}


def conversations_unarchive(call: Call) -> Json:
    """`conversations.unarchive`."""
    channel = call.channel()
    call.needs(*_MANAGE[channel.type])
    if not channel.is_archived:
        raise SlackRefusal("not_archived")
    archive_channel(call.workspace, channel, call.workspace.bot.id, archived=False)
    return {}


def conversations_join(call: Call) -> Json:
    """`conversations.join`: public channels only."""
    channel = call.channel()
    if channel.type != "channel":
        raise SlackRefusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    before = call.workspace.bot.id in channel.members
    call.workspace.join(channel, call.workspace.bot.id)
    shown = {"channel": channel_json(call.workspace, channel)}
    if not before:
        return shown
    warning = "already_in_channel"
    return {**shown, "warning": warning, "response_metadata": {"warnings": [warning]}}


def conversations_leave(call: Call) -> Json:
    """`conversations.leave`."""
    channel = call.channel()
    call.needs(*_MANAGE[channel.type])
    if channel.type not in ("channel", "group"):
        raise SlackRefusal("method_not_supported_for_channel_type")
    if call.workspace.bot.id not in channel.members:
        return {"not_in_channel": True}
    if channel.name == "general":
        raise SlackRefusal("cant_leave_general")
    call.workspace.leave(channel, call.workspace.bot.id)
    return {}


def conversations_invite(call: Call) -> Json:
    """`conversations.invite`: of people and bots, by id."""
    channel = _managed(call, _INVITE, "channel", "group")
    users = call.args.strings("users")
    if not users:
        raise SlackRefusal("no_user")
    for user in users:
        if error := _invitation_error(call, channel, user):
            raise SlackRefusal(error, errors=[{"ok": False, "error": error, "user": user}])
    for user in users:
        call.workspace.join(channel, user, inviter=call.workspace.bot.id)
    return {"channel": channel_json(call.workspace, channel)}


def _invitation_error(call: Call, channel: Channel, user: str) -> str:
    if user == call.workspace.bot.id:
        return "cant_invite_self"
    if user not in call.workspace.users:
        return "user_not_found"
    return "already_in_channel" if user in channel.members else ""


def conversations_kick(call: Call) -> Json:
    """`conversations.kick`."""
    channel = _managed(call, _MANAGE, "channel", "group")
    user = call.args.required("user", "user_not_found")
    if user == call.workspace.bot.id:
        raise SlackRefusal("cant_kick_self")
    if user not in call.workspace.users:
        raise SlackRefusal("user_not_found")
    if user not in channel.members:
        raise SlackRefusal("not_in_channel")
    if channel.name == "general":
        raise SlackRefusal("cant_kick_from_general")
    call.workspace.leave(channel, user)
    return {"errors": {}}


def conversations_mark(call: Call) -> Json:
    """`conversations.mark`."""
    channel = _managed(call, _MANAGE, *_MANAGE)
    ts = call.args.required("ts", "invalid_timestamp")
    call.workspace.mark_read(channel, call.workspace.bot.id, ts)
    return {}


def conversations_set_topic(call: Call) -> Json:
    """`conversations.setTopic`."""
    channel = _managed(call, _TOPIC, *_TOPIC)
    set_topic(call.workspace, channel, call.workspace.bot.id, _short_text(call, "topic"))
    return {"channel": channel_json(call.workspace, channel)}


def conversations_set_purpose(call: Call) -> Json:
    """`conversations.setPurpose`."""
    channel = _managed(call, _TOPIC, *_TOPIC)
    purpose = _short_text(call, "purpose")
    set_purpose(call.workspace, channel, call.workspace.bot.id, purpose)
    return {"channel": channel_json(call.workspace, channel), "purpose": purpose}


def _short_text(call: Call, name: str) -> str:
    text = call.args.text(name)
    if len(text) > MAX_TEXT_LENGTH:
        raise SlackRefusal("too_long")
    return text


def _managed(call: Call, scopes: Mapping[str, tuple[str, ...]], *types: str) -> Channel:
    """The call's channel, of one of these types, if the app is in it and has one of its type's scopes."""
    channel = call.channel()
    if channel.type not in types:
        raise SlackRefusal("method_not_supported_for_channel_type")
    call.needs(*scopes[channel.type])
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    return channel


CHANNEL_METHODS = {
    "conversations.archive": Method(conversations_archive),
    "conversations.close": Method(conversations_close, ("im:write", "mpim:write")),
    "conversations.create": Method(conversations_create),
    "conversations.invite": Method(conversations_invite),
    "conversations.join": Method(conversations_join, ("channels:join",)),
    "conversations.kick": Method(conversations_kick),
    "conversations.leave": Method(conversations_leave),
    "conversations.mark": Method(conversations_mark),
    "conversations.open": Method(conversations_open, ("im:write", "mpim:write")),
    "conversations.rename": Method(conversations_rename),
    "conversations.setPurpose": Method(conversations_set_purpose),
    "conversations.setTopic": Method(conversations_set_topic),
    "conversations.unarchive": Method(conversations_unarchive),
}
