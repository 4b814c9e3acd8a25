"""`chat.scheduleMessage`, `chat.scheduledMessages.list`, `chat.deleteScheduledMessage`."""

from __future__ import annotations

from functools import partial

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import ScheduledMessage
from bot.sandbox.state.scheduled_messages import ScheduledMessages
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.messages import new_message
from bot.sandbox.web_api.pages import next_page, page_of

MAX_DAYS_AHEAD = 120
WINDOW = 300
MAX_IN_WINDOW = 30
"""How many messages may be scheduled for one channel in five minutes."""


def schedule_message(scheduled: ScheduledMessages, call: Call) -> Json:
    """`chat.scheduleMessage`: the content is checked now, and posted at `post_at`."""
    channel = call.postable()
    post_at = _time(call, "post_at")
    if post_at is None:
        raise SlackRefusal("invalid_time")
    now = call.workspace.clock()
    if post_at <= now:
        raise SlackRefusal("time_in_past")
    if post_at > now + MAX_DAYS_AHEAD * 86_400:
        raise SlackRefusal("time_too_far")
    near = (
        each
        for each in call.workspace.scheduled.values()
        if each.message.channel == channel.id and each.post_at // WINDOW == post_at // WINDOW
    )
    if sum(1 for _ in near) >= MAX_IN_WINDOW:
        raise SlackRefusal("restricted_too_many")
    message, warnings = new_message(call, channel)
    made = ScheduledMessage(call.workspace.new_id("Q"), message, post_at, int(now))
    scheduled.add(made)
    shown = {
        "type": "delayed_message",
        "subtype": "bot_message",
        "text": message.latest.fallback,
        "username": message.username or call.workspace.bot.name,
        "bot_id": message.bot_id,
        "blocks": message.blocks,
        "attachments": message.attachments,
    }
    return {
        "channel": channel.id,
        "scheduled_message_id": made.id,
        "post_at": post_at,
        "message": {name: value for name, value in shown.items() if value},
        **warnings,
    }


def _time(call: Call, name: str) -> int | None:
    """A time in whole seconds; None if it is missing. Raises SlackRefusal `invalid_time`."""
    try:
        return int(float(call.args.text(name))) if call.args.text(name) else None
    except (ValueError, OverflowError):
        raise SlackRefusal("invalid_time") from None


def list_scheduled(call: Call) -> Json:
    """`chat.scheduledMessages.list`: the waiting messages, the next one first."""
    channel = call.channel().id if "channel" in call.args else None
    oldest, latest = _time(call, "oldest") or 0, _time(call, "latest") or float("inf")
    waiting = [
        each
        for each in sorted(call.workspace.scheduled.values(), key=lambda each: each.post_at)
        if channel in (None, each.message.channel) and oldest <= each.post_at <= latest
    ]
    page, cursor = page_of(call, waiting, 100)
    shown = [
        {
            "id": each.id,
            "channel_id": each.message.channel,
            "post_at": each.post_at,
            "date_created": each.created,
            "text": each.message.latest.fallback,
        }
        for each in page
    ]
    return {"scheduled_messages": shown, **next_page(cursor)}


def delete_scheduled(scheduled: ScheduledMessages, call: Call) -> Json:
    """`chat.deleteScheduledMessage`: for a message that waits in that channel."""
    channel = call.channel()
    wanted = call.args.required("scheduled_message_id", "invalid_scheduled_message_id")
    waiting = call.workspace.scheduled.get(wanted)
    if waiting is None or waiting.message.channel != channel.id:
        raise SlackRefusal("invalid_scheduled_message_id")
    scheduled.remove(wanted)
    return {}


def scheduled_methods(scheduled: ScheduledMessages) -> dict[str, Method]:
    """The methods of this module."""
    return {
        "chat.scheduleMessage": Method(partial(schedule_message, scheduled), ("chat:write",)),
        "chat.scheduledMessages.list": Method(list_scheduled),
        "chat.deleteScheduledMessage": Method(
            partial(delete_scheduled, scheduled), ("chat:write",)
        ),
    }
