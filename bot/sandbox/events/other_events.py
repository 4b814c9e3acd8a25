"""Events caused by changes to channels, pins, files and links. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from bot.sandbox.state.records import Message
from bot.sandbox.state.workspace import Change, Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.messages import message_json

_LINK = re.compile(r"<(https?://[^>|]+)(?:\|[^>]*)?>")
_EventsOf = Callable[[Workspace, Change], Iterator[Json]]


def no_events(workspace: Workspace, change: Change) -> Iterator[Json]:
    """Produces no events."""
    return iter(())


def _event(workspace: Workspace, kind: str, **fields: object) -> Json:
    return {"type": kind, **fields, "event_ts": workspace.next_ts()}


def _pinned(workspace: Workspace, change: Change) -> Iterator[Json]:
    assert change.message is not None
    pin, added = change.data["pin"], change.data["added"]
    count = len(workspace.channels[change.channel].pins)
    item = {
        "type": "message",
        "channel": change.channel,
        "message": message_json(workspace, change.message),
        "created": pin.created,
        "created_by": pin.user,
    }
    event = _event(
        workspace,
        "pin_added" if added else "pin_removed",
        user=change.user,
        channel_id=change.channel,
        item=item,
        item_user=change.message.user,
        pin_count=count,
        pinned_info={"channel": change.channel, "pinned_by": pin.user, "pinned_ts": pin.created},
    )
    yield event if added else {**event, "has_pins": count > 0}


def _created(workspace: Workspace, change: Change) -> Iterator[Json]:
    channel = workspace.channels[change.channel]
    if channel.type == "channel":
        shown = {
            "id": channel.id,
            "name": channel.name,
            "name_normalized": channel.name,
            "created": int(channel.created),
            "creator": channel.creator,
            "is_channel": True,
            "context_team_id": workspace.team_id,
        }
        yield _event(workspace, "channel_created", channel=shown)


def _renamed(workspace: Workspace, change: Change) -> Iterator[Json]:
    channel = workspace.channels[change.channel]
    shown = {"id": channel.id, "name": channel.name, "created": int(channel.created)}
    yield _event(workspace, f"{channel.type}_rename", channel=shown)


def _archived(workspace: Workspace, change: Change) -> Iterator[Json]:
    kind = workspace.channels[change.channel].type
    verb = "archive" if change.data["archived"] else "unarchive"
    yield _event(workspace, f"{kind}_{verb}", channel=change.channel, user=change.user)


def _text_set(workspace: Workspace, change: Change) -> Iterator[Json]:
    """A changed topic or purpose is sent as a message."""
    name, value = change.data["name"], change.data["value"]
    kind = "group" if workspace.channels[change.channel].type == "group" else "channel"
    said = f"<@{change.user}> set the channel {name}: {value}"
    event = _event(workspace, "message", subtype=f"{kind}_{name}", user=change.user, text=said)
    yield {**event, name: value, "ts": event["event_ts"]}


def _file_deleted(workspace: Workspace, change: Change) -> Iterator[Json]:
    yield _event(workspace, "file_deleted", file_id=change.data["file"].id)


CHANNEL_EVENTS: Mapping[str, _EventsOf] = {
    "pinned": _pinned,
    "channel_created": _created,
    "channel_renamed": _renamed,
    "channel_archived": _archived,
    "channel_text": _text_set,
    "file_deleted": _file_deleted,
}
"""The events caused by each kind of change."""


def account_changed(workspace: Workspace, change: Change) -> Json:
    """The event about somebody's account, with what an account says besides its profile."""
    user = workspace.users[change.user or ""]
    account = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.is_deactivated,
        "is_admin": user.is_admin,
        "is_owner": user.is_admin,
        "is_bot": user.is_bot,
        "is_restricted": user.is_restricted,
        "is_stranger": user.is_stranger,
        "locale": user.locale,
    }
    return _event(workspace, "user_change", user=account)


def posted_events(workspace: Workspace, message: Message) -> Iterator[Json]:
    """The events caused by a new message, besides those for the message itself: for its files and links."""
    for file in message.files:
        yield _event(
            workspace,
            "file_shared",
            file_id=file,
            user_id=message.user,
            file={"id": file},
            channel_id=message.channel,
        )
    links = [] if message.bot_id else _unfurled_links(workspace, message.text)
    if links:
        where = {"channel": message.channel, "message_ts": message.ts}
        if message.thread_ts:
            where["thread_ts"] = message.thread_ts
        yield _event(
            workspace,
            "link_shared",
            **where,
            user=message.user,
            is_bot_user_member=True,
            links=links,
            unfurl_id=f"C0{message.channel}-{message.ts}",
            source="conversations_history",
        )


def _unfurled_links(workspace: Workspace, text: str) -> list[Json]:
    """The links in raw text whose domain the app has registered, each once."""
    domains = workspace.features.unfurl_domains
    found = {url: urlsplit(url).hostname or "" for url in _LINK.findall(text)}
    return [
        {"url": url, "domain": host}
        for url, host in found.items()
        if domains is None or any(host == each or host.endswith(f".{each}") for each in domains)
    ]
