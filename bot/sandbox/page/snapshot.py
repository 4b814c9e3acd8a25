"""The workspace as one person sees it, as the JSON of the page's protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from bot.sandbox.journal import CallRecord, Delivery, Journal
from bot.sandbox.state.records import Channel, Ephemeral, File, Message, Thread, User, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.text import mentioned_users
from bot.sandbox.types import Json


def user_json(user: User, workspace: Workspace) -> Json:
    initials = "".join(part[0] for part in user.real_name.split()[:2]).upper()
    shown = {"id": user.id, "name": user.name, "real_name": user.real_name, "is_bot": user.is_bot}
    shown["locale"] = user.locale
    return shown | {"app": user is workspace.bot, "color": user.color, "initials": initials}


def avatar_svg(user: User, workspace: Workspace) -> str:
    """A user's picture: their initials on their colour."""
    shown = user_json(user, workspace)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72">'
        f'<rect width="72" height="72" rx="8" fill="{shown["color"]}"/>'
        '<text x="36" y="46" font-family="sans-serif" font-size="28" fill="#fff" text-anchor="middle">'
        f"{escape(shown['initials'])}</text></svg>"
    )


def channel_json(channel: Channel, viewer: str) -> Json:
    read = channel.last_read.get(viewer, "0")
    unread = [
        each
        for each in channel.messages.values()
        if each.ts > read and each.user != viewer and _top(each)
    ]
    others = [user for user in channel.members if user != viewer]
    return {
        "id": channel.id,
        "name": channel.name,
        "type": channel.type,
        "members": list(channel.members),
        "is_member": viewer in channel.members,
        "topic": channel.topic,
        "is_archived": channel.is_archived,
        "user": (others[0] if others else viewer) if channel.type == "im" else None,
        "unread": len(unread),
        "mentions": sum(viewer in mentioned_users(each.text) for each in unread),
        "last_read": channel.last_read.get(viewer),
    }


def _top(message: Message) -> bool:
    return message.thread_ts in (None, message.ts) or message.subtype == "thread_broadcast"


def message_json(message: Message, viewer: str, workspace: Workspace) -> Json:
    revision, stream = message.latest, message.stream
    text = message.text_for(viewer) if revision.format == "markdown" else revision.fallback
    whole = stream is None or stream.phase != "open" or stream.recipient in (None, viewer)
    replies = [workspace.channels[message.channel].messages.get(ts) for ts in message.replies]
    edited = len(message.revisions) > 1  # which replaces what was streamed
    tasks = list(stream.tasks.values()) if stream is not None and whole and not edited else []
    return {
        "channel": message.channel,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "username": message.username,
        "icon": message.icon,
        "subtype": message.subtype,
        "format": revision.format,
        "text": text,
        "blocks": revision.blocks if whole else [],
        "tasks": tasks,
        "plan": stream.plan if stream is not None and whole else None,
        "streaming": message.streaming,
        "broken": stream is not None and stream.phase == "expired" and len(message.revisions) == 1,
        "edited": message.edited is not None,
        "reactions": [
            {"name": name, "users": who, "count": len(who)}
            for name, who in message.reactions.items()
        ],
        "files": [file_json(workspace.files[file]) for file in message.files],
        "attachments": message.attachments,
        "reply_count": len(message.replies),
        "reply_users": list(dict.fromkeys(reply.user for reply in replies if reply)),
        "latest_reply": message.replies[-1] if message.replies else None,
    }


def file_json(file: File) -> Json:
    shown = {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "mode": file.mode,
        "alt_text": file.alt_text,
    }
    return shown | {"size": len(file.content), "url": f"/sandbox/file/{file.id}"}


def ephemeral_json(ephemeral: Ephemeral) -> Json:
    text = ephemeral.text if ephemeral.format == "markdown" else ephemeral.fallback
    shown = {
        "id": ephemeral.id,
        "channel": ephemeral.channel,
        "thread_ts": ephemeral.thread_ts,
        "ts": ephemeral.ts,
    }
    return shown | {
        "format": ephemeral.format,
        "text": text,
        "blocks": ephemeral.blocks,
        "attachments": ephemeral.attachments,
        "user": ephemeral.author,
    }


def status_json(thread: Thread) -> Json:
    shown = {"channel": thread.channel, "thread_ts": thread.thread_ts, "status": thread.status}
    return shown | {"loading_messages": thread.loading_messages}


def session_json(thread: Thread) -> Json:
    shown = {"channel": thread.channel, "thread_ts": thread.thread_ts, "title": thread.title}
    return shown | {"status": thread.session}


def view_json(view: View | None) -> Json | None:
    if view is None:
        return None
    definition = view.definition
    shown = {
        name: definition.get(name)
        for name in ("title", "submit", "close", "callback_id", "private_metadata")
    }
    shown |= {"id": view.id, "type": view.type, "blocks": view.blocks, "hash": view.hash}
    return shown | {"state": {"values": view.values}, "errors": view.errors}


def state_json(
    workspace: Workspace,
    viewer: str,
    *,
    commands: Sequence[Mapping[str, Any]] | None,
    shortcuts: Sequence[Mapping[str, Any]],
    tips: Sequence[str] = (),
    connected: bool,
) -> Json:
    """Everything that the page needs when it opens."""
    channels = [
        channel for channel in workspace.channels.values() if workspace.can_see(channel, viewer)
    ]
    seen = {channel.id for channel in channels}
    threads = [thread for thread in workspace.threads.values() if thread.channel in seen]
    bot = workspace.bot
    return {
        "ok": True,
        "team": {"id": workspace.team_id, "name": workspace.team_name, "domain": workspace.domain},
        "me": viewer,
        "bot": {
            "user_id": bot.id,
            "bot_id": bot.bot_id,
            "app_id": bot.app_id,
            "name": bot.real_name,
            "connected": connected,
        },
        "users": [user_json(user, workspace) for user in workspace.users.values()],
        "channels": [channel_json(channel, viewer) for channel in channels],
        "messages": {channel.id: messages_json(channel, viewer, workspace) for channel in channels},
        "ephemerals": [
            ephemeral_json(each)
            for each in workspace.ephemeral_messages.values()
            if each.viewer == viewer
        ],
        "statuses": [status_json(thread) for thread in threads if thread.status],
        "sessions": [session_json(thread) for thread in threads if thread.title or thread.session],
        "prompts": prompts_json(workspace, seen),
        "commands": [dict(each) for each in commands or ()],
        "any_command": commands is None,
        "shortcuts": [dict(each) for each in shortcuts],
        "tips": list(tips),
        "views": [view_json(view) for view in workspace.open_modals(viewer)],
        "home": view_json(workspace.homes.get(viewer)),
    }


def messages_json(channel: Channel, viewer: str, workspace: Workspace) -> list[Json]:
    """All messages of a channel, thread replies included, oldest first."""
    return [message_json(each, viewer, workspace) for each in channel.messages.values()]


def prompts_json(workspace: Workspace, seen: set[str]) -> list[Json]:
    """The suggested prompts in the channels `seen`."""
    every = workspace.prompts.items()
    return [
        {"channel": channel, "thread_ts": root, **shown}
        for (channel, root), shown in every
        if channel in seen
    ]


def traffic_json(entry: CallRecord | Delivery) -> Json:
    """One entry of the traffic inspector."""
    if isinstance(entry, CallRecord):
        kind = "response" if entry.method == "response_url" else "call"
        shown: Json = {
            "id": entry.id,
            "at": entry.at,
            "kind": kind,
            "name": entry.method,
            "direction": "in",
        }
        shown |= {
            "ms": round(entry.duration * 1000, 3),
            "ok": entry.ok,
            "error": entry.error,
            "attempt": 0,
        }
        return shown | {"body": entry.args, "answer": entry.result}
    last = entry.attempts[-1] if entry.attempts else None
    shown = {
        "id": entry.id,
        "at": entry.created,
        "kind": "event",
        "name": entry.name,
        "direction": "out",
    }
    shown["acked_at"] = entry.acked_at
    waited = (entry.acked_at - last.at) * 1000 if entry.acked_at and last else None
    shown |= {
        "ms": waited and round(waited, 3),
        "ok": not entry.gave_up,
        "attempt": last.retry if last else 0,
    }
    shown["error"] = "operation_timeout" if entry.gave_up else None
    return shown | {"body": entry.payload, "answer": entry.answer}


def traffic_entries(journal: Journal, newest: int, before: int | None) -> list[Json]:
    """The newest entries of the journal, older than the id `before` if given, oldest first."""
    entries: list[CallRecord | Delivery] = []
    for kept in (journal.calls, journal.deliveries):
        both: Iterator[CallRecord | Delivery] = reversed(kept)
        entries += islice((entry for entry in both if before is None or entry.id < before), newest)
    entries.sort(key=lambda entry: entry.id)
    return [traffic_json(entry) for entry in entries[-newest:]]


def frame(message: Json) -> str:
    """An update as the text of one WebSocket frame."""
    return json.dumps(message, ensure_ascii=False)
