"""`auth.*`, `users.*`, `bots.*`, `team.*`, `conversations.*`, `reactions.*`, `apps.connections.open`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.journal import public_arguments
from bot.sandbox.state.records import Channel, Message, User
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.messages import message_json

Item = TypeVar("Item")
_READ_SCOPES = {
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


def api_test(call: Call) -> Json:
    """`api.test`: echoes its arguments; needs no token."""
    if error := call.args.text("error"):
        raise SlackRefusal(error, args=public_arguments(call.args.values))
    return {"args": public_arguments(call.args.values)}


def auth_test(call: Call) -> Json:
    """`auth.test`."""
    bot = call.workspace.bot
    return {
        "url": f"{call.workspace.base_url}/",
        "team": call.workspace.team_name,
        "user": bot.name,
        "team_id": call.workspace.team_id,
        "user_id": bot.id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(issue_ticket: Callable[[], str], call: Call) -> Json:
    """`apps.connections.open`: a single-use URL for one socket."""
    ticket = issue_ticket()
    host = call.workspace.base_url.partition("://")[2]
    return {"url": f"ws://{host}/link/?ticket={ticket}&app_id={call.workspace.app_id}"}


def bots_info(call: Call) -> Json:
    """`bots.info`."""
    bots = (user for user in call.workspace.users.values() if user.bot_id == call.args.text("bot"))
    user = next(bots, None)
    if user is None:
        raise SlackRefusal("bot_not_found")
    bot = {
        "id": user.bot_id,
        "deleted": False,
        "name": user.name,
        "app_id": user.app_id,
        "user_id": user.id,
    }
    return {"bot": bot}


def user_json(user: User) -> Json:
    profile = {"real_name": user.real_name, "display_name": user.name, "team": user.team_id}
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": False,
        "color": user.color.lstrip("#"),
        "real_name": user.real_name,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "profile": profile,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": False,
        "is_stranger": user.is_stranger,
    }


def users_info(call: Call) -> Json:
    """`users.info`."""
    user = call.workspace.users.get(call.args.required("user", "user_not_found"))
    if user is None:
        raise SlackRefusal("user_not_found")
    return {"user": user_json(user)}


def users_list(call: Call) -> Json:
    """`users.list`."""
    return {
        "members": list(map(user_json, call.workspace.users.values())),
        "response_metadata": {"next_cursor": ""},
    }


def team_info(call: Call) -> Json:
    """`team.info`."""
    workspace = call.workspace
    return {
        "team": {"id": workspace.team_id, "name": workspace.team_name, "domain": workspace.domain}
    }


def channel_json(workspace: Workspace, channel: Channel) -> Json:
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
        "is_ext_shared": channel.ext_shared,
        "context_team_id": workspace.team_id,
    }
    if kind == "im":
        return shown | {
            "user": next((user for user in channel.members if user != bot), bot),
            "is_open": True,
        }
    topic = {"value": channel.topic, "creator": "", "last_set": 0}
    return shown | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_member": bot in channel.members,
        "num_members": len(channel.members),
        "topic": topic,
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


def conversations_info(call: Call) -> Json:
    """`conversations.info`."""
    channel = call.channel()
    call.needs(_READ_SCOPES[channel.type])
    return {"channel": channel_json(call.workspace, channel)}


def conversations_open(call: Call) -> Json:
    """`conversations.open`: a DM or group DM with `users`, or an existing one by `channel`."""
    if "channel" in call.args:
        channel = call.channel()
    else:
        users = call.args.strings("users")
        if not users or any(user not in call.workspace.users for user in users):
            raise SlackRefusal("user_not_found" if users else "users_list_not_supplied")
        if len(users) > 8:
            raise SlackRefusal("too_many_users")
        channel = call.workspace.open_dm([*users, call.workspace.bot.id])
    shown = (
        channel_json(call.workspace, channel) if call.args.flag("return_im") else {"id": channel.id}
    )
    return {"channel": shown}


def conversations_list(call: Call) -> Json:
    """`conversations.list`."""
    names = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
    wanted = {names.get(kind) for kind in (call.args.strings("types") or ["public_channel"])}
    workspace, bot = call.workspace, call.workspace.bot.id
    found = [
        each
        for each in workspace.channels.values()
        if each.type in wanted and workspace.can_see(each, bot)
    ]
    page, cursor = _page(call, found, 100, 999)
    return {
        "channels": [channel_json(workspace, each) for each in page],
        "response_metadata": {"next_cursor": cursor},
    }


def conversations_members(call: Call) -> Json:
    """`conversations.members`."""
    page, cursor = _page(call, call.channel().members, 100, 999)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def conversations_join(call: Call) -> Json:
    """`conversations.join`: public channels only."""
    channel = call.channel()
    if channel.type != "channel":
        raise SlackRefusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    call.workspace.join(channel, call.workspace.bot.id)
    return {"channel": channel_json(call.workspace, channel)}


def conversations_history(call: Call) -> Json:
    """`conversations.history`: newest first, no thread replies."""
    channel = _readable(call)
    top = [message for message in channel.messages.values() if _in_channel(message)]
    page, cursor = _page(call, _between(call, list(reversed(top))), 100, 999)
    return _messages(call, page, cursor)


def conversations_replies(call: Call) -> Json:
    """`conversations.replies`: oldest first, the root leading."""
    channel = _readable(call)
    ts = call.args.required("ts", "thread_not_found")
    if ts not in channel.messages:
        raise SlackRefusal("thread_not_found")
    root = channel.messages[ts].root
    page, cursor = _page(
        call, _between(call, call.workspace.thread(channel.id, root), root), 1000, 1000
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
    oldest, latest = call.args.text("oldest", "0"), call.args.text("latest") or "9999999999.999999"
    inclusive = call.args.flag("inclusive")

    def within(ts: str) -> bool:
        return oldest < ts < latest or (inclusive and ts in (oldest, latest))

    return [message for message in messages if message.ts == root or within(message.ts)]


def _messages(call: Call, page: list[Message], cursor: str) -> Json:
    shown = [message_json(call.workspace, message) for message in page]
    answer: Json = {"messages": shown, "has_more": bool(cursor)}
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def _page(call: Call, items: list[Item], default: int, most: int) -> tuple[list[Item], str]:
    limit = min(max(1, call.args.number("limit", default)), most)
    start = call.args.number("cursor", 0)
    rest = start + limit < len(items)
    return items[start : start + limit], str(start + limit) if rest else ""


def reactions_add(call: Call) -> Json:
    """`reactions.add`."""
    call.workspace.add_reaction(_target(call), _emoji(call), call.workspace.bot.id)
    return {}


def reactions_remove(call: Call) -> Json:
    """`reactions.remove`."""
    call.workspace.remove_reaction(_target(call), _emoji(call), call.workspace.bot.id)
    return {}


def reactions_get(call: Call) -> Json:
    """`reactions.get`."""
    message = _target(call)
    return {
        "type": "message",
        "channel": message.channel,
        "message": message_json(call.workspace, message),
    }


def _emoji(call: Call) -> str:
    name = call.args.text("name").strip(":")
    if not name or not all(letter.isalnum() or letter in "_-+:'" for letter in name):
        raise SlackRefusal("invalid_name" if name else "no_item_specified")
    return name


def _target(call: Call) -> Message:
    channel = call.channel()
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    return call.workspace.message(channel.id, call.args.required("timestamp", "bad_timestamp"))


def connection_methods(issue_ticket: Callable[[], str]) -> dict[str, Method]:
    """The method that opens sockets; `issue_ticket` returns a ticket or raises SlackRefusal."""
    return {
        "apps.connections.open": Method(partial(open_connection, issue_ticket), caller="app"),
    }


WORKSPACE_METHODS = {
    "api.test": Method(api_test, caller="anyone"),
    "auth.test": Method(auth_test),
    "bots.info": Method(bots_info, ("users:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "users.list": Method(users_list, ("users:read",)),
    "team.info": Method(team_info, ("team:read",)),
    "conversations.info": Method(conversations_info),
    "conversations.open": Method(conversations_open, ("im:write", "mpim:write")),
    "conversations.list": Method(
        conversations_list, ("channels:read", "groups:read", "im:read", "mpim:read")
    ),
    "conversations.members": Method(
        conversations_members, ("channels:read", "groups:read", "im:read", "mpim:read")
    ),
    "conversations.join": Method(conversations_join, ("channels:join",)),
    "conversations.history": Method(conversations_history),
    "conversations.replies": Method(conversations_replies),
    "reactions.add": Method(reactions_add, ("reactions:write",)),
    "reactions.remove": Method(reactions_remove, ("reactions:write",)),
    "reactions.get": Method(reactions_get, ("reactions:read",)),
}
