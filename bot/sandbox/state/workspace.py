"""The state of one Slack workspace, and every change to it. No I/O; time comes from a clock function.

Listeners registered with `subscribe` (the app's events, the page, waiting tests) are called at every change.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.limits import Limits
from bot.sandbox.state.block_ids import with_ids
from bot.sandbox.state.identity import APP_ID, handle_of, user_id_of
from bot.sandbox.state.records import (
    AppFeatures,
    Channel,
    ChannelType,
    Ephemeral,
    File,
    Message,
    Revision,
    ScheduledMessage,
    Thread,
    User,
    View,
)
from bot.sandbox.text import blocks_text
from bot.sandbox.types import Clock, Json

_COLORS = ("#4a154b", "#1264a3", "#2bac76", "#e01e5a", "#ecb22e", "#36c5f0", "#7c3085", "#d1495b")


@dataclass(frozen=True, slots=True)
class Change:
    """One change in the workspace. `kind` decides which of the other fields are used."""

    kind: str
    channel: str = ""
    message: Message | None = None
    user: str | None = None
    data: Json = field(default_factory=dict)


class Workspace:
    """Team, people, channels, messages and views. The app's own user is `bot`."""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        bot_name: str = "bobbin",
        team_id: str = "T0SANDBOX",
        enterprise: str | None = None,
        bot_id: str | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.team_id = team_id
        self.enterprise = enterprise
        """The id of the organisation that the workspace belongs to, in all of which the app is installed."""
        self.team_name = "Sandbox"
        self.domain = "sandbox"
        self.app_id = APP_ID
        self.features = AppFeatures()
        self.base_url = ""
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.modals: dict[str, list[str]] = {}
        self.ephemeral_messages: dict[str, Ephemeral] = {}
        self.threads: dict[tuple[str, str], Thread] = {}
        self.prompts: dict[tuple[str, str | None], Json] = {}
        self.scheduled: dict[str, ScheduledMessage] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._numbers = itertools.count(1)
        self._last_ts = 0
        handle = handle_of(bot_name)
        real_name = bot_name.capitalize() if bot_name == handle else bot_name
        self.bot = self.add_user(
            handle, real_name, bot=True, app_id=self.app_id, user_id=bot_id or user_id_of(handle)
        )

    # -- names and numbers

    def new_id(self, prefix: str) -> str:
        """A fresh id, e.g. `F00000A7`."""
        return f"{prefix}{next(self._numbers):08X}"

    def begin_ids_at(self, number: int) -> None:
        """Sets the number of the next new id, so that a restored workspace issues none twice."""
        self._numbers = itertools.count(number)

    def with_block_ids(self, blocks: Iterable[Json]) -> list[Json]:
        """Blocks as Slack keeps them: each has a `block_id`, and each element in it an `action_id`."""
        return [with_ids(block, self.new_id) for block in blocks]

    def next_ts(self) -> str:
        """A message id: the time in microseconds, strictly increasing."""
        micros = max(int(self.clock() * 1_000_000), self._last_ts + 1)
        self._last_ts = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls `listener` synchronously at every change. The returned function unsubscribes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(
        self, kind: str, channel: str = "", message: Message | None = None, **more: Any
    ) -> None:
        change = Change(kind, channel, message, more.pop("user", None), more)
        for listener in tuple(self._listeners):
            listener(change)

    # -- people and channels

    def add_user(
        self,
        name: str,
        real_name: str = "",
        *,
        bot: bool = False,
        app_id: str | None = None,
        user_id: str = "",
    ) -> User:
        """Adds a person or a bot. Unless given, the id is readable: `U0ALICE`."""
        user_id = user_id or user_id_of(name)
        user = User(
            id=user_id,
            name=name,
            real_name=real_name or name.capitalize(),
            team_id=self.team_id,
            color=_COLORS[len(self.users) % len(_COLORS)],
        )
        if bot:
            user.bot_id = "B0" + user_id[2:]
            user.app_id = app_id or "A0" + user_id[2:]
        self.users[user_id] = user
        return user

    def set_locale(self, user: str, locale: str) -> None:
        """Someone chooses another language for Slack."""
        self.user(user).locale = locale
        self.emit("locale", user=self.user(user).id)

    def add_channel(self, name: str, members: list[str], kind: ChannelType = "channel") -> Channel:
        """Adds a channel (for DMs see `open_dm`). While it is free, the id is readable: `C0GENERAL`."""
        channel_id = "C0" + re.sub(r"[^A-Z0-9]", "", name.upper())
        if channel_id in self.channels or channel_id == "C0":
            channel_id = self.new_id("C0")
        channel = Channel(channel_id, name, kind, list(members), self.clock())
        self.channels[channel_id] = channel
        self.emit("channel", channel_id)
        return channel

    def open_dm(self, users: list[str]) -> Channel:
        """The DM (two members) or group DM of exactly these users, created if it does not exist."""
        members = list(dict.fromkeys(users))
        for channel in self.channels.values():
            if channel.type in ("im", "mpim") and set(channel.members) == set(members):
                return channel
        kind: ChannelType = "im" if len(members) <= 2 else "mpim"
        # Group DMs have C-ids, as in Slack: only `channel_type` distinguishes them from channels.
        channel_id = self.new_id("D0" if kind == "im" else "C0")
        name = (
            channel_id
            if kind == "im"
            else "mpdm-" + "--".join(self.users[user].name for user in members) + "-1"
        )
        channel = Channel(channel_id, name, kind, members, self.clock())
        self.channels[channel_id] = channel
        self.emit("channel", channel_id)
        return channel

    def user(self, ref: str) -> User:
        """A user by id, by `@name` or by name."""
        found = self.users.get(ref) or self.user_named(ref)
        if found is None:
            raise SlackRefusal("user_not_found")
        return found

    def user_named(self, name: str) -> User | None:
        wanted = name.lstrip("@").casefold()
        return next((user for user in self.users.values() if user.name.casefold() == wanted), None)

    def channel(self, ref: str) -> Channel:
        """A channel by id, by `#name` or by name."""
        found = self.channels.get(ref) or self.channel_named(ref)
        if found is None:
            raise SlackRefusal("channel_not_found")
        return found

    def channel_for(self, user: str, ref: str) -> Channel:
        """A channel by id or name; `@name` is the DM of `user` with that person."""
        return self.open_dm([user, self.user(ref).id]) if ref.startswith("@") else self.channel(ref)

    def dm(self, user: str) -> str:
        """The id of the DM between a person and the app."""
        return self.open_dm([self.user(user).id, self.bot.id]).id

    def channel_named(self, name: str) -> Channel | None:
        wanted = name.lstrip("#").casefold()
        return next(
            (channel for channel in self.channels.values() if channel.name.casefold() == wanted),
            None,
        )

    def reference(self, name: str) -> str | None:
        """Slack's raw form of a typed `@name` or `#name`; None if there is no such name."""
        if name.startswith("#"):
            channel = self.channel_named(name)
            return f"<#{channel.id}|{channel.name}>" if channel else None
        if name in ("@channel", "@here", "@everyone"):
            return f"<!{name[1:]}>"
        user = self.user_named(name)
        return f"<@{user.id}>" if user else None

    def labelled_reference(self, name: str) -> str | None:
        """The form in which an escaped slash command's text names people: `<@U…|name>`."""
        user = self.user_named(name) if name.startswith("@") else None
        return f"<@{user.id}|{user.name}>" if user else self.reference(name)

    def can_see(self, channel: Channel, user: str) -> bool:
        return channel.type == "channel" or user in channel.members

    def join(self, channel: Channel, user: str, inviter: str | None = None) -> None:
        if user in channel.members:
            return
        channel.members.append(user)
        self.emit("joined", channel.id, user=user, inviter=inviter)
        self.emit("channel", channel.id)

    def leave(self, channel: Channel, user: str) -> None:
        channel.members.remove(user)
        self.emit("left", channel.id, user=user)
        self.emit("channel", channel.id)

    def mark_read(self, channel: Channel, user: str, ts: str) -> None:
        channel.last_read[user] = ts
        self.emit("read", channel.id, user=user)

    # -- messages

    def message(self, channel: str, ts: str) -> Message:
        """A message that has not been deleted, else `message_not_found`."""
        found = self.channel(channel).messages.get(ts)
        if found is None:
            raise SlackRefusal("message_not_found")
        return found

    def thread(self, channel: str, root: str) -> list[Message]:
        """The root message and its replies, oldest first."""
        messages = self.channel(channel).messages
        parent = messages.get(root)
        replies = [messages[ts] for ts in (parent.replies if parent else ()) if ts in messages]
        return ([parent] if parent else []) + replies

    def messages(self, channel: str) -> list[Message]:
        """Every message of a channel that has not been deleted, replies included, oldest first."""
        return list(self.channel(channel).messages.values())

    def post(self, message: Message) -> Message:
        """Adds a new message; a reply is also added to its thread."""
        channel = self.channels[message.channel]
        channel.messages[message.ts] = message
        if message.thread_ts:
            root = channel.messages.get(message.thread_ts)
            if root is not None:
                root.replies.append(message.ts)
                root.thread_ts = root.thread_ts or root.ts
        if not message.bot_id:
            channel.last_read[message.user] = message.ts
        self.emit("posted", channel.id, message)
        return message

    def expire_stream(self, message: Message) -> None:
        """Lets a stream expire: the message is shown as broken until it is edited."""
        if message.stream is not None and message.stream.phase == "open":
            message.stream.phase = "expired"
            message.stream.ended_at = self.clock()
            self.emit("stream_broken", message.channel, message)

    def edit(self, message: Message, revision: Revision, editor: str) -> None:
        """Replaces the content of a message."""
        before = message.latest
        message.revisions.append(revision)
        message.edited = (editor, self.next_ts())
        self.emit("edited", message.channel, message, user=editor, before=before)

    def delete(self, message: Message) -> None:
        """Deletes a message. A root with replies stays as a tombstone, and its replies stay readable."""
        channel = self.channels[message.channel]
        message.deleted_at = self.clock()
        channel.deleted.append(message)
        if message.replies:
            message.subtype = "tombstone"
            message.revisions.append(self.revision("mrkdwn", "This message was deleted.", []))
        else:
            del channel.messages[message.ts]
        if (
            message.thread_ts
            and message.thread_ts != message.ts
            and message.thread_ts in channel.messages
        ):
            channel.messages[message.thread_ts].replies.remove(message.ts)
        self.emit("deleted", channel.id, message)

    def revision(self, kind: Any, text: str, blocks: list[Json]) -> Revision:
        """A revision made now. Of mrkdwn text with blocks, people see the blocks."""
        visible = blocks_text(blocks) if blocks and kind == "mrkdwn" else text
        return Revision(kind, [visible], [(self.clock(), len(visible))], blocks, text)

    def add_reaction(self, message: Message, name: str, user: str) -> None:
        users = message.reactions.setdefault(name, [])
        if user in users:
            raise SlackRefusal("already_reacted")
        users.append(user)
        self.emit("reacted", message.channel, message, user=user, name=name, added=True)

    def remove_reaction(self, message: Message, name: str, user: str) -> None:
        users = message.reactions.get(name, [])
        if user not in users:
            raise SlackRefusal("no_reaction")
        users.remove(user)
        if not users:
            del message.reactions[name]
        self.emit("reacted", message.channel, message, user=user, name=name, added=False)

    # -- ephemeral messages, threads, views

    def post_ephemeral(self, ephemeral: Ephemeral) -> None:
        self.ephemeral_messages[ephemeral.id] = ephemeral
        self.emit("ephemeral", ephemeral.channel, user=ephemeral.viewer, ephemeral=ephemeral)

    def delete_ephemeral(self, ephemeral: Ephemeral) -> None:
        self.ephemeral_messages.pop(ephemeral.id, None)
        self.emit("ephemeral_deleted", ephemeral.channel, user=ephemeral.viewer, id=ephemeral.id)

    def ephemerals(self, user: str, channel: str | None = None) -> list[Ephemeral]:
        """What only this person sees, oldest first."""
        viewer = self.user(user).id
        wanted = self.channel_for(viewer, channel).id if channel else None
        every = self.ephemeral_messages.values()
        return [each for each in every if each.viewer == viewer and wanted in (None, each.channel)]

    def show_notice(self, user: str, text: str, channel: str = "") -> None:
        """Shows a message from Slack itself to a person, e.g. that a command failed."""
        self.emit("notice", channel, user=user, text=text)

    def thread_state(self, channel: str, root: str) -> Thread:
        return self.threads.setdefault((channel, root), Thread(channel, root))

    def set_status(self, channel: str, root: str, status: str, loading: list[str]) -> None:
        thread = self.thread_state(channel, root)
        if not status and not thread.status:
            return
        now = self.clock()
        thread.status = status
        thread.loading_messages = loading if status else []
        thread.status_expires = now + self.limits.status_ttl
        thread.statuses.append((now, status))
        self.emit("status", channel, thread=thread)

    def expire_status(self, channel: str, root: str) -> None:
        """Clears a status line that has expired."""
        state = self.thread_state(channel, root)
        if state.status and self.clock() >= state.status_expires:
            self.set_status(channel, root, "", [])

    def set_session(
        self, channel: str, root: str, *, status: str | None = None, title: str | None = None
    ) -> Thread:
        thread = self.thread_state(channel, root)
        if status is not None:
            thread.session = status
        if title is not None:
            thread.title = title
            thread.titles.append((self.clock(), title))
        self.emit("session", channel, thread=thread)
        return thread

    def open_modals(self, user: str) -> list[View]:
        """The open modals of a person, topmost last."""
        return [self.views[view] for view in self.modals.get(user, ())]

    def emit_views_changed(self, user: str) -> None:
        self.emit("views", user=user)
