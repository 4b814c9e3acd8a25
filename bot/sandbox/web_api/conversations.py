"""Reading conversations: their list, their members, their messages. Changing them is in `channel_methods`."""

from __future__ import annotations

import re
from decimal import Decimal

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, Message
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.messages import message_json
from bot.sandbox.web_api.pages import next_page, page_of

READ_SCOPES = {
    "channel": "channels:read",
    "group": "groups:read",
    "im": "im:read",
    "mpim": "mpim:read",
}
_HISTORY_SCOPES = {
    "channel": "channels:history",
    "group": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
}
_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def channel_json(workspace: Workspace, channel: Channel) -> Json:
    """A conversation as Slack's JSON; a DM has few fields."""
    kind, bot = channel.type, workspace.bot.id
    shown: Json = {
        "id": channel.id,
        "created": int(channel.created),
        "is_channel": kind == "channel",
        "is_group": kind == "group",
        "is_im": kind == "im",
        "is_mpim": kind == "mpim",
        "is_private": kind != "channel",
        "is_archived": channel.is_archived,
        "is_shared": channel.ext_shared,
        "is_ext_shared": channel.ext_shared,
        "is_org_shared": False,
        "context_team_id": workspace.team_id,
        "updated": int(channel.created * 1000),
    }
    if kind == "im":
        other = next((user for user in channel.members if user != bot), bot)
        return shown | {"user": other, "is_open": True, "is_user_deleted": False, "priority": 0}
    return shown | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_general": channel.name == "general",
        "is_pending_ext_shared": False,
        "is_member": bot in channel.members,
        "creator": channel.creator or next(iter(channel.members), ""),
        "num_members": len(channel.members),
        "previous_names": channel.previous_names,
        "shared_team_ids": [workspace.team_id],
        "pending_shared": [],
        "unlinked": 0,
        "topic": {
            "value": channel.topic,
            "creator": channel.topic_set.creator,
            "last_set": channel.topic_set.last_set,
        },
        "purpose": {
            "value": channel.purpose.value,
            "creator": channel.purpose.creator,
            "last_set": channel.purpose.last_set,
        },
    }


def conversations_info(call: Call) -> Json:
    """`conversations.info`."""
    channel = call.channel()
    call.needs(READ_SCOPES[channel.type])
    return {"channel": channel_json(call.workspace, channel)}


def conversations_list(call: Call) -> Json:
    """`conversations.list`."""
    channels = _channels(call, call.workspace.bot.id)
    page, cursor = page_of(call, channels, 100)
    return {
        "channels": [channel_json(call.workspace, each) for each in page],
        **next_page(cursor),
    }


def users_conversations(call: Call) -> Json:
    """`users.conversations`: a person's, by default the app's own, as far as the app sees them."""
    user = call.args.text("user") or call.workspace.bot.id
    if user not in call.workspace.users:
        raise SlackRefusal("user_not_found")
    own = [each for each in _channels(call, call.workspace.bot.id) if user in each.members]
    page, cursor = page_of(call, own, 100)
    shown = [channel_json(call.workspace, each) for each in page]
    for channel in shown:  # as in Slack, which does not count here
        channel.pop("num_members", None)
        channel.pop("is_member", None)
    return {"channels": shown, **next_page(cursor)}


def _channels(call: Call, viewer: str) -> list[Channel]:
    """The conversations of the wanted types, each of which needs its scope."""
    names = call.args.strings("types") or ["public_channel"]
    wanted = [_TYPES.get(name.strip(), "") for name in names]
    if "" in wanted:
        raise SlackRefusal("invalid_types")
    for kind in wanted:
        call.needs(READ_SCOPES[kind])
    archived = not call.args.flag("exclude_archived")
    return [
        each
        for each in call.workspace.channels.values()
        if each.type in wanted
        and (archived or not each.is_archived)
        and call.workspace.can_see(each, viewer)
    ]


def conversations_members(call: Call) -> Json:
    """`conversations.members`."""
    channel = call.channel()
    call.needs(READ_SCOPES[channel.type])
    page, cursor = page_of(call, channel.members, 100)
    return {"members": page, **next_page(cursor)}


def conversations_history(call: Call) -> Json:
    """`conversations.history`: newest first, no thread replies."""
    channel = _readable(call)
    top = [message for message in channel.messages.values() if _in_channel(message)]
    page, cursor = page_of(call, _between(call, list(reversed(top))), 100)
    return _messages(call, page, cursor)


def conversations_replies(call: Call) -> Json:
    """`conversations.replies`: the root first, then its replies from oldest to newest."""
    channel = _readable(call)
    ts = call.args.required("ts", "thread_not_found")
    if ts not in channel.messages:
        raise SlackRefusal("thread_not_found")
    root = channel.messages[ts].root
    page, cursor = page_of(
        call, _between(call, call.workspace.thread(channel.id, root), root), 1000
    )
    return _messages(call, page, cursor)


def _in_channel(message: Message) -> bool:
    return message.thread_ts in (None, message.ts) or message.subtype == "thread_broadcast"


def _readable(call: Call) -> Channel:
    channel = call.channel()
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    call.needs(_HISTORY_SCOPES[channel.type])
    return channel


def _between(call: Call, messages: list[Message], root: str = "") -> list[Message]:
    oldest = _moment(call, "oldest", Decimal(0))
    latest = _moment(call, "latest", Decimal("Infinity"))
    inclusive = call.args.flag("inclusive")

    def within(ts: Decimal) -> bool:
        return oldest < ts < latest or (inclusive and ts in (oldest, latest))

    return [each for each in messages if each.ts == root or within(Decimal(each.ts))]


def _moment(call: Call, name: str, default: Decimal) -> Decimal:
    """A time in seconds, exact to the digit. Raises SlackRefusal `invalid_ts_oldest`, `invalid_ts_latest`."""
    given = call.args.text(name)
    if given and not re.fullmatch(r"\d{1,15}(\.\d*)?", given, re.ASCII):
        raise SlackRefusal(f"invalid_ts_{name}")
    return Decimal(given) if given else default


def _messages(call: Call, page: list[Message], cursor: str) -> Json:
    shown = [message_json(call.workspace, message) for message in page]
    answer: Json = {"messages": shown, "has_more": bool(cursor)}
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


CONVERSATION_METHODS = {
    "conversations.info": Method(conversations_info),
    "conversations.list": Method(conversations_list),
    "conversations.members": Method(conversations_members),
    "conversations.history": Method(conversations_history),
    "conversations.replies": Method(conversations_replies),
    "users.conversations": Method(users_conversations),
}
