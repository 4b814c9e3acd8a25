"""Changes to a channel: its name, topic and purpose, whether it is archived, its pins and bookmarks."""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, ChannelText, Message, Pin
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json

MAX_PINS = 100


def create_channel(workspace: Workspace, name: str, creator: str, *, private: bool) -> Channel:
    """A new channel with its creator as the only member. Raises SlackRefusal `name_taken`."""
    if workspace.channel_named(name) is not None:
        raise SlackRefusal("name_taken")
    channel = workspace.add_channel(name, [creator], "group" if private else "channel")
    channel.creator = creator
    workspace.emit("channel_created", channel.id, user=creator)
    workspace.emit("channel", channel.id)
    return channel


def rename_channel(workspace: Workspace, channel: Channel, name: str) -> None:
    """Raises SlackRefusal `name_taken` when another channel has that name."""
    if workspace.channel_named(name) not in (None, channel):
        raise SlackRefusal("name_taken")
    channel.previous_names.append(channel.name)
    channel.name = name
    workspace.emit("channel_renamed", channel.id)
    workspace.emit("channel", channel.id)


def archive_channel(workspace: Workspace, channel: Channel, user: str, archived: bool) -> None:
    """Archives a channel, or brings it back."""
    channel.is_archived = archived
    workspace.emit("channel_archived", channel.id, user=user, archived=archived)
    workspace.emit("channel", channel.id)


def set_topic(workspace: Workspace, channel: Channel, user: str, topic: str) -> None:
    channel.topic = topic
    channel.topic_set = ChannelText(topic, user, int(workspace.clock()))
    workspace.emit("channel_text", channel.id, user=user, name="topic", value=topic)
    workspace.emit("channel", channel.id)


def set_purpose(workspace: Workspace, channel: Channel, user: str, purpose: str) -> None:
    channel.purpose = ChannelText(purpose, user, int(workspace.clock()))
    workspace.emit("channel_text", channel.id, user=user, name="purpose", value=purpose)
    workspace.emit("channel", channel.id)


def pin(workspace: Workspace, channel: Channel, message: Message, user: str) -> None:
    """Raises SlackRefusal `already_pinned` or `too_many_pins`."""
    if any(each.ts == message.ts for each in channel.pins):
        raise SlackRefusal("already_pinned")
    if len(channel.pins) >= MAX_PINS:
        raise SlackRefusal("too_many_pins")
    made = Pin(message.ts, user, int(workspace.clock()))
    channel.pins.insert(0, made)
    workspace.emit("pinned", channel.id, message, user=user, pin=made, added=True)


def unpin(workspace: Workspace, channel: Channel, message: Message, user: str) -> None:
    """Raises SlackRefusal `no_pin`."""
    found = next((each for each in channel.pins if each.ts == message.ts), None)
    if found is None:
        raise SlackRefusal("no_pin")
    channel.pins.remove(found)
    workspace.emit("pinned", channel.id, message, user=user, pin=found, added=False)


def save_bookmark(workspace: Workspace, channel: Channel, bookmark: Json) -> None:
    """Adds a bookmark, or replaces the one with its id."""
    ids = [each["id"] for each in channel.bookmarks]
    if bookmark["id"] in ids:
        channel.bookmarks[ids.index(bookmark["id"])] = bookmark
    else:
        channel.bookmarks.append(bookmark)
    workspace.emit("channel", channel.id)


def remove_bookmark(workspace: Workspace, channel: Channel, bookmark: Json) -> None:
    channel.bookmarks.remove(bookmark)
    workspace.emit("channel", channel.id)
