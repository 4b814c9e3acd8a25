"""`reactions.*`, `pins.*` and `bookmarks.*`: what is attached to messages and channels."""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.channel_changes import pin, remove_bookmark, save_bookmark, unpin
from bot.sandbox.state.records import Channel, Message, Pin
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.messages import message_json, permalink_of
from bot.sandbox.web_api.pages import next_page, page_of

MAX_BOOKMARKS = 100


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
    return _item(call, _target(call))


def reactions_list(call: Call) -> Json:
    """`reactions.list`: the messages to which a person, by default the app, has reacted, the newest first."""
    user = call.args.text("user") or call.workspace.bot.id
    if user not in call.workspace.users:
        raise SlackRefusal("user_not_found")
    bot = call.workspace.bot.id
    found = [
        message
        for channel in call.workspace.channels.values()
        if bot in channel.members
        for message in channel.messages.values()
        if any(user in who for who in message.reactions.values())
    ]
    page, cursor = page_of(call, sorted(found, key=lambda each: each.ts, reverse=True), 100)
    return {"items": [_item(call, message) for message in page], **next_page(cursor)}


def _item(call: Call, message: Message) -> Json:
    link = permalink_of(call.workspace, message)
    shown = {**message_json(call.workspace, message), "permalink": link}
    return {"type": "message", "channel": message.channel, "message": shown}


def _emoji(call: Call) -> str:
    name = call.args.text("name").strip(":")
    if not name or not all(letter.isalnum() or letter in "_-+:'" for letter in name):
        raise SlackRefusal("invalid_name" if name else "no_item_specified")
    return name


def _target(call: Call, missing: str = "bad_timestamp") -> Message:
    channel = _joined(call)
    return call.workspace.message(channel.id, call.args.required("timestamp", missing))


def _joined(call: Call, name: str = "channel") -> Channel:
    channel = call.channel(name)
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel


# -- pins


def pins_add(call: Call) -> Json:
    """`pins.add`."""
    message = _target(call, "no_item_specified")
    pin(call.workspace, call.channel(), message, call.workspace.bot.id)
    return {}


def pins_remove(call: Call) -> Json:
    """`pins.remove`."""
    message = _target(call, "no_item_specified")
    unpin(call.workspace, call.channel(), message, call.workspace.bot.id)
    return {}


def pins_list(call: Call) -> Json:
    """`pins.list`, the newest pin first."""
    channel = _joined(call)
    return {
        "items": [_pin(call, channel, each) for each in channel.pins if each.ts in channel.messages]
    }


def _pin(call: Call, channel: Channel, made: Pin) -> Json:
    item = _item(call, channel.messages[made.ts])
    return {**item, "created": made.created, "created_by": made.user}


# -- bookmarks


def bookmarks_add(call: Call) -> Json:
    """`bookmarks.add`: of links."""
    channel = _joined(call, "channel_id")
    if call.args.required("type", "invalid_bookmark_type") != "link":
        raise SlackRefusal("invalid_bookmark_type")
    if len(channel.bookmarks) >= MAX_BOOKMARKS:
        raise SlackRefusal("too_many_bookmarks")
    now = int(call.workspace.clock())
    bookmark = {
        "id": call.workspace.new_id("Bk"),
        "channel_id": channel.id,
        "title": call.args.required("title"),
        "link": _link(call),
        "emoji": call.args.text("emoji") or None,
        "icon_url": None,
        "type": "link",
        "entity_id": call.args.text("entity_id") or None,
        "date_created": now,
        "date_updated": 0,
        "rank": str(len(channel.bookmarks)),
        "last_updated_by_user_id": call.workspace.bot.id,
        "last_updated_by_team_id": call.workspace.team_id,
        "shortcut_id": None,
        "app_id": call.workspace.app_id,
    }
    save_bookmark(call.workspace, channel, bookmark)
    return {"bookmark": bookmark}


def bookmarks_edit(call: Call) -> Json:
    """`bookmarks.edit`: title, link or emoji."""
    channel = _joined(call, "channel_id")
    bookmark = dict(_bookmark(call, channel))
    if "title" in call.args:
        bookmark["title"] = call.args.required("title")
    if "link" in call.args:
        bookmark["link"] = _link(call)
    if "emoji" in call.args:
        bookmark["emoji"] = call.args.text("emoji") or None
    bookmark["date_updated"] = int(call.workspace.clock())
    save_bookmark(call.workspace, channel, bookmark)
    return {"bookmark": bookmark}


def bookmarks_list(call: Call) -> Json:
    """`bookmarks.list`."""
    return {"bookmarks": list(_joined(call, "channel_id").bookmarks)}


def bookmarks_remove(call: Call) -> Json:
    """`bookmarks.remove`."""
    channel = _joined(call, "channel_id")
    remove_bookmark(call.workspace, channel, _bookmark(call, channel))
    return {}


def _bookmark(call: Call, channel: Channel) -> Json:
    wanted = call.args.required("bookmark_id")
    found = next((each for each in channel.bookmarks if each["id"] == wanted), None)
    if found is None:
        raise SlackRefusal("not_found")
    return found


def _link(call: Call) -> str:
    link = call.args.text("link")
    if not link.startswith(("http://", "https://")):
        raise SlackRefusal("invalid_link")
    return link


ITEM_METHODS = {
    "reactions.add": Method(reactions_add, ("reactions:write",)),
    "reactions.remove": Method(reactions_remove, ("reactions:write",)),
    "reactions.get": Method(reactions_get, ("reactions:read",)),
    "reactions.list": Method(reactions_list, ("reactions:read",)),
    "pins.add": Method(pins_add, ("pins:write",)),
    "pins.remove": Method(pins_remove, ("pins:write",)),
    "pins.list": Method(pins_list, ("pins:read",)),
    "bookmarks.add": Method(bookmarks_add, ("bookmarks:write",)),
    "bookmarks.edit": Method(bookmarks_edit, ("bookmarks:write",)),
    "bookmarks.list": Method(bookmarks_list, ("bookmarks:read",)),
    "bookmarks.remove": Method(bookmarks_remove, ("bookmarks:write",)),
}
