"""Turns changes in the workspace into the Events API events that the app subscribed to."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

from bot.sandbox.events.delivery import EnvelopeDispatcher
from bot.sandbox.events.other_events import (
    CHANNEL_EVENTS,
    account_changed,
    no_events,
    posted_events,
)
from bot.sandbox.state.records import Channel, Message
from bot.sandbox.state.workspace import Change, Workspace
from bot.sandbox.text import mentioned_users
from bot.sandbox.types import Json
from bot.sandbox.variants import SlackVariants
from bot.sandbox.web_api.messages import message_json
from bot.sandbox.web_api.views import view_json

DEFAULT_EVENTS = frozenset(
    {
        "agent_session_stopped",
        "agent_session_title_changed",
        "app_home_opened",
        "app_mention",
        "member_joined_channel",
        "member_left_channel",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
    }
)
_MESSAGE_EVENTS = {
    "channel": "message.channels",
    "group": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}


class EventSubscriptions:
    """Listens to the workspace and gives the dispatcher the events that the app subscribed to."""

    def __init__(
        self,
        workspace: Workspace,
        dispatcher: EnvelopeDispatcher,
        event_types: frozenset[str],
        variants: SlackVariants,
    ) -> None:
        self.workspace = workspace
        self.event_types = event_types
        self._variants = variants
        self._dispatcher = dispatcher
        self._handlers: dict[str, Callable[[Change], None]] = {
            "posted": self._posted,
            "edited": self._edited,
            "stream_ended": self._stream_ended,
            "deleted": self._deleted,
            "joined": self._joined,
            "left": self._left,
            "reacted": self._reacted,
        }
        workspace.subscribe(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.kind == "locale":
            self.send("user_change", account_changed(self.workspace, change))
        if change.kind not in self._handlers and change.kind not in CHANNEL_EVENTS:
            return
        if not self._app_is_member(change):
            return
        if handle := self._handlers.get(change.kind):
            handle(change)
        for event in CHANNEL_EVENTS.get(change.kind, no_events)(self.workspace, change):
            self._send_other(self.workspace.channels[change.channel], event)

    def _send_other(self, channel: Channel, event: Json) -> None:
        if event["type"] == "message":
            self._send_message(channel, event)
        else:
            self.send(str(event["type"]), event)

    def _app_is_member(self, change: Change) -> bool:
        return self.workspace.bot.id in self.workspace.channels[change.channel].members

    def send(self, subscription: str, event: Json, *, ext_shared: bool = False) -> None:
        """Delivers an event if the app subscribed to it."""
        if subscription not in self.event_types:
            return
        workspace, bot = self.workspace, self.workspace.bot
        event_id = f"Ev{uuid.uuid4().hex[:12].upper()}"
        org = workspace.enterprise
        authorization = {
            "enterprise_id": org,
            "team_id": workspace.team_id,
            "user_id": bot.id,
            "is_bot": True,
        }
        envelope = {
            "token": "sandbox-verification-token",
            "team_id": workspace.team_id,
            "context_team_id": workspace.team_id,
            "context_enterprise_id": org,
            "api_app_id": workspace.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(workspace.clock()),
            "authorizations": [{**authorization, "is_enterprise_install": org is not None}],
            "is_ext_shared_channel": ext_shared,
            "event_context": f"4-{event_id}",
        }
        self._dispatcher.dispatch_event(str(event["type"]), envelope)

    def deliver(
        self, event: Json, subscription: str | None = None, *, ext_shared: bool = False
    ) -> None:
        """Delivers any event as it is, e.g. `{"type": "app_uninstalled"}`, if the app subscribed to it."""
        stamped = {"event_ts": self.workspace.next_ts(), **event}
        self.send(subscription or str(event["type"]), stamped, ext_shared=ext_shared)

    def _send_message(self, channel: Channel, event: Json) -> None:
        shared = channel.ext_shared
        event |= {"channel": channel.id, "channel_type": channel.type}
        self.send(_MESSAGE_EVENTS[channel.type], event, ext_shared=shared)

    def _posted(self, change: Change) -> None:
        message = change.message
        assert message is not None
        channel = self.workspace.channels[change.channel]
        plain = self._event_of(message)
        wants: list[Callable[[], None]] = [lambda: self._send_message(channel, dict(plain))]
        only_message = bool(message.files) and self._variants.file_mention_as_message_only
        if self._mentions_app(channel, message) and not only_message:
            wants.insert(0, lambda: self._send_mention(channel, dict(plain)))
            self._order(wants)
        for want in wants:
            want()
        for event in posted_events(self.workspace, message):
            self.send(str(event["type"]), event)

    def _order(self, wants: list[Callable[[], None]]) -> None:
        order = self._variants.mention_order
        if order == "message_first" or (order == "random" and random.random() < 0.5):
            wants.reverse()

    def _event_of(self, message: Message) -> Json:
        event = message_json(self.workspace, message)
        event.pop("reactions", None)
        event["event_ts"] = message.ts
        if not message.bot_id:
            event["client_msg_id"] = str(
                uuid.uuid5(uuid.NAMESPACE_OID, message.channel + message.ts)
            )
            user = self.workspace.users[message.user]
            if user.is_stranger:
                event |= {"user_team": user.team_id, "source_team": user.team_id}
        if message.files:
            event["subtype"] = "file_share"
            event["upload"] = False
            # As in Slack, messages that share files do not name their team.
            event.pop("team", None)
        return event

    def _mentions_app(self, channel: Channel, message: Message) -> bool:
        if channel.type == "im" or message.app_id == self.workspace.app_id:
            return False
        return self.workspace.bot.id in mentioned_users(message.text)

    def _send_mention(self, channel: Channel, event: Json) -> None:
        for name in ("subtype", "channel_type", "upload"):
            event.pop(name, None)
        event |= {"type": "app_mention", "channel": channel.id}
        self.send("app_mention", event, ext_shared=channel.ext_shared)

    def _edited(self, change: Change) -> None:
        message = change.message
        assert message is not None
        before = change.data["before"]
        channel = self.workspace.channels[change.channel]
        now = message_json(self.workspace, message)
        text = before.fallback if before.format == "mrkdwn" else before.text
        previous = {**now, "text": text, "blocks": before.blocks}
        self._send_hidden_message(
            channel, "message_changed", {"message": now, "previous_message": previous}
        )
        if not message.bot_id and self._mentions_app(channel, message):
            self._send_mention(channel, {**self._event_of(message), "edited": now.get("edited")})

    def _stream_ended(self, change: Change) -> None:
        assert change.message is not None
        now = message_json(self.workspace, change.message)
        channel = self.workspace.channels[change.channel]
        self._send_hidden_message(
            channel, "message_changed", {"message": now, "previous_message": {**now, "blocks": []}}
        )

    def _deleted(self, change: Change) -> None:
        assert change.message is not None
        channel = self.workspace.channels[change.channel]
        previous = message_json(self.workspace, change.message)
        gone = {"deleted_ts": change.message.ts, "previous_message": previous}
        self._send_hidden_message(channel, "message_deleted", gone)

    def _send_hidden_message(self, channel: Channel, subtype: str, more: Json) -> None:
        ts = self.workspace.next_ts()
        self._send_message(
            channel,
            {
                "type": "message",
                "subtype": subtype,
                "hidden": True,
                "ts": ts,
                "event_ts": ts,
                **more,
            },
        )

    def _joined(self, change: Change) -> None:
        channel = self.workspace.channels[change.channel]
        ts = self.workspace.next_ts()
        inviter = change.data.get("inviter")
        self._send_member_event(
            "member_joined_channel", change, ts, {"inviter": inviter} if inviter else {}
        )
        text = f"<@{change.user}> has joined the channel"
        joined = {"type": "message", "subtype": "channel_join", "user": change.user, "text": text}
        self._send_message(channel, {**joined, "ts": ts, "event_ts": ts})

    def _left(self, change: Change) -> None:
        self._send_member_event("member_left_channel", change, self.workspace.next_ts(), {})

    def _send_member_event(self, kind: str, change: Change, ts: str, more: Json) -> None:
        channel = self.workspace.channels[change.channel]
        event: Json = {
            "type": kind,
            "user": change.user,
            "channel": channel.id,
            "event_ts": ts,
            "channel_type": "C" if channel.type == "channel" else "G",
            "team": self.workspace.team_id,
        }
        self.send(kind, event | more)

    def _reacted(self, change: Change) -> None:
        assert change.message is not None
        kind = "reaction_added" if change.data["added"] else "reaction_removed"
        item = {"type": "message", "channel": change.channel, "ts": change.message.ts}
        event = {"type": kind, "user": change.user, "reaction": change.data["name"], "item": item}
        event |= {"item_user": change.message.user, "event_ts": self.workspace.next_ts()}
        self.send(kind, event)

    # -- events without a change in the workspace

    def send_app_home_opened(self, user: str, tab: str, channel: str) -> None:
        """The person opened the app's Home or Messages tab."""
        event: Json = {"type": "app_home_opened", "user": user, "channel": channel, "tab": tab}
        event["event_ts"] = self.workspace.next_ts()
        home = self.workspace.homes.get(user)
        if tab == "home" and home is not None:
            event["view"] = view_json(self.workspace, home)
        self.send("app_home_opened", event, ext_shared=self.workspace.users[user].is_stranger)

    def send_assistant_thread_started(self, user: str, channel: str, root: str) -> None:
        """The person has begun a thread with the app."""
        context = {"team_id": self.workspace.team_id, "enterprise_id": self.workspace.enterprise}
        thread: Json = {
            "user_id": user,
            "context": context,
            "channel_id": channel,
            "thread_ts": root,
        }
        event = {"type": "assistant_thread_started", "assistant_thread": thread}
        self.send("assistant_thread_started", {**event, "event_ts": self.workspace.next_ts()})

    def send_session_stopped(
        self, user: str, channel: str, root: str, stopped: list[Message]
    ) -> None:
        """The person pressed Slack's own Stop."""
        event: Json = {
            "type": "agent_session_stopped",
            "user": user,
            "channel": channel,
            "thread_ts": root,
        }
        event |= {
            "streaming_message_ts": [message.ts for message in stopped],
            "event_ts": self.workspace.next_ts(),
        }
        shared = self.workspace.channels[channel].ext_shared
        self.send("agent_session_stopped", event, ext_shared=shared)

    def send_session_title_changed(self, user: str, channel: str, root: str, title: str) -> None:
        """The person renamed the session."""
        event: Json = {
            "type": "agent_session_title_changed",
            "user": user,
            "channel": channel,
            "thread_ts": root,
        }
        self.send(
            "agent_session_title_changed",
            {**event, "title": title, "event_ts": self.workspace.next_ts()},
            ext_shared=self.workspace.channels[channel].ext_shared,
        )
