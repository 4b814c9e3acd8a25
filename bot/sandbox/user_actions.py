"""What people do in the workspace: say, press, choose, command, submit. The page and the tests act through this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.events.interactions import Interactions
from bot.sandbox.events.subscriptions import Feed
from bot.sandbox.find_elements import find_button, find_element, find_option, state_values
from bot.sandbox.state.records import Channel, Container, Ephemeral, File, Message, User, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.text import from_typed, mentioned
from bot.sandbox.types import Json
from bot.sandbox.web_api.messages import expire_stream
from bot.sandbox.web_api.streams import stop_by_user
from bot.sandbox.web_api.views import Modals

Where = str | Message | Ephemeral | View


@dataclass(frozen=True, slots=True)
class Upload:
    """A file a person adds to a message."""

    name: str
    content: bytes
    mimetype: str = "application/octet-stream"


class Persons:
    """People, users and channels are named by id or by name; a channel `@name` is the DM with that user.

    What cannot be done in Slack's own client (a button that is not there, a channel one is not in) is a LookupError.
    """

    workspace: Workspace
    feed: Feed
    interactions: Interactions
    modals: Modals
    commands: Sequence[Mapping[str, Any]]
    shortcuts: Sequence[Mapping[str, Any]]

    # -- finding things

    def user(self, ref: str) -> User:
        return self.workspace.user(ref)

    def channel(self, ref: str, user: str | None = None) -> Channel:
        if ref.startswith("@") and user is not None:
            return self.workspace.direct([user, self.user(ref).id])
        return self.workspace.channel(ref)

    def dm(self, user: str) -> str:
        """The id of the DM between a person and the app."""
        return self.workspace.direct([self.user(user).id, self.workspace.bot.id]).id

    def message(self, channel: str, ts: str) -> Message:
        """A message that stands. SlackRefusal `message_not_found` otherwise."""
        return self.workspace.message(self.channel(channel).id, ts)

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The message `ts` and its replies, oldest first."""
        return self.workspace.thread(self.channel(channel).id, ts)

    def messages(self, channel: str) -> list[Message]:
        """Every message that stands in a channel, replies included, oldest first."""
        return list(self.channel(channel).messages.values())

    def ephemerals(self, user: str, channel: str | None = None) -> list[Ephemeral]:
        """What only this person sees, oldest first."""
        viewer = self.user(user).id
        place = self.channel(channel, viewer).id if channel else None
        every = self.workspace.ephemeral.values()
        return [each for each in every if each.viewer == viewer and place in (None, each.channel)]

    def home(self, user: str) -> View | None:
        """The App Home as the app last published it for this person."""
        return self.workspace.homes.get(self.user(user).id)

    def modal(self, user: str) -> View | None:
        """The topmost open modal of this person."""
        stack = self.workspace.stack(self.user(user).id)
        return stack[-1] if stack else None

    def status(self, channel: str, thread: str) -> str:
        """The status line of a thread as it stands now; empty when there is none."""
        place = self.channel(channel).id
        self.expire_status(place, thread)
        return self.workspace.thread_state(place, thread).status

    def title(self, channel: str, thread: str) -> str | None:
        """The title of a thread's session."""
        return self.workspace.thread_state(self.channel(channel).id, thread).title

    def expire_status(self, channel: str, thread: str) -> None:
        """A status line goes out by itself after its time."""
        state = self.workspace.thread_state(channel, thread)
        if state.status and self.workspace.clock() >= state.status_expires:
            self.workspace.set_status(channel, thread, "", [])

    # -- messages

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread: str | None = None,
        files: Sequence[Upload | File | str] = (),
        *,
        broadcast: bool = False,
    ) -> str:
        """Post as a person; `text` as typed (`@name` and `<@U…>` mention, the rest is escaped). Gives the ts."""
        person = self.user(user)
        place = self._present(person, self.channel(channel, person.id))
        raw = from_typed(text, self._reference)
        message = Message(
            place.id,
            self.workspace.next_ts(),
            person.id,
            self._root(place, thread),
            [self.workspace.revision("mrkdwn", raw, [])],
            typed=text,
        )
        if person.is_bot:
            message.bot_id, message.app_id = person.bot_id, person.app_id
        message.files = [self._shared(person, place, file) for file in files]
        if broadcast and message.thread_ts:
            message.subtype = "thread_broadcast"
        self.workspace.post(message)
        self._suggest_invitation(person, place, raw)
        return message.ts

    async def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """Edit one's own message."""
        message = self._own(user, channel, ts)
        message.typed = text
        revision = self.workspace.revision("mrkdwn", from_typed(text, self._reference), [])
        self.workspace.revise(message, revision, message.user)

    async def delete(self, user: str, channel: str, ts: str) -> None:
        """Delete one's own message."""
        self.workspace.delete(self._own(user, channel, ts))

    async def react(
        self, user: str, channel: str, ts: str, name: str, *, remove: bool = False
    ) -> None:
        """Add or take back a reaction."""
        change = self.workspace.unreact if remove else self.workspace.react
        change(self.message(channel, ts), name.strip(":"), self.user(user).id)

    async def join(self, user: str, channel: str, inviter: str | None = None) -> None:
        """Join a channel, or be invited (`inviter`); bots can be invited too."""
        self.workspace.join(
            self.channel(channel), self.user(user).id, self.user(inviter).id if inviter else None
        )

    async def leave(self, user: str, channel: str) -> None:
        """Leave a channel, or be removed from it."""
        person, place = self.user(user), self.channel(channel)
        if person.id not in place.members:
            raise LookupError(f"{person.name} is not in {place.name}")
        self.workspace.leave(place, person.id)

    def upload(self, user: str, upload: Upload) -> File:
        """Upload a file without sharing it yet."""
        mode = "snippet" if upload.mimetype.startswith("text/") else "hosted"
        name = upload.name.replace("/", "_") or "file"
        now = self.workspace.clock()
        file = File(
            self.workspace.number("F"),
            name,
            name,
            upload.mimetype,
            upload.content,
            self.user(user).id,
            now,
            mode,
        )
        self.workspace.files[file.id] = file
        return file

    # -- buttons, menus, commands, modals

    async def press(
        self, user: str, where: Where, action_id: str, value: str | None = None
    ) -> None:
        """Press a button; `value` tells apart buttons with the same action id, and thumbs up from down.

        `where` is a message, a private message, a view, or the ts of one of the first two.
        NotAcknowledged when no ack comes.
        """
        person, place = self.user(user), self.place(where)
        block, element = find_button(place, action_id, value)
        action = {
            "type": element["type"],
            "action_id": action_id,
            "block_id": block.get("block_id"),
        }
        chosen = element
        if element["type"] == "feedback_buttons":
            both = (element["positive_button"], element["negative_button"])
            chosen = next(button for button in both if value in (None, button.get("value")))
        action |= {name: chosen[name] for name in ("text", "value") if name in chosen}
        await self.interactions.act(person.id, self._visible(person, place), action)

    async def menu(self, user: str, where: Where, action_id: str, query: str = "") -> Json:
        """What a menu shows after typing `query`: the app's `options` or `option_groups`, or the menu's own."""
        person, place = self.user(user), self.place(where)
        block, element = find_element(place, action_id)
        if element["type"] not in ("external_select", "multi_external_select"):
            return {name: element[name] for name in ("options", "option_groups") if name in element}
        if len(query) < element.get("min_query_length", 3):
            raise LookupError("the menu asks for more characters before it searches")
        return await self.interactions.options(
            person.id, self._visible(person, place), block, element, query
        )

    async def choose(
        self, user: str, where: Where, action_id: str, value: str, query: str = ""
    ) -> None:
        """Choose from a menu the option whose value or text is `value`, after typing `query`."""
        option = find_option(await self.menu(user, where, action_id, query), value)
        person, place = self.user(user), self.place(where)
        block, element = find_element(place, action_id)
        action = {
            "type": element["type"],
            "action_id": action_id,
            "block_id": block.get("block_id"),
        }
        action |= {"selected_option": option, "placeholder": element.get("placeholder")}
        values = {
            str(block.get("block_id")): {
                action_id: {"type": element["type"], "selected_option": option}
            }
        }
        await self.interactions.act(person.id, self._visible(person, place), action, values)

    async def act(self, user: str, where: Where, action: Json, values: Json | None = None) -> None:
        """Any `block_actions`: `action` without `type` and `action_ts`, which come from the element and the time."""
        person, place = self.user(user), self.place(where)
        block, element = find_element(place, str(action.get("action_id")), action.get("block_id"))
        full = {"type": element["type"], "block_id": block.get("block_id"), **action}
        await self.interactions.act(person.id, self._visible(person, place), full, values)

    async def command(
        self, user: str, channel: str, command: str, text: str = ""
    ) -> list[Ephemeral]:
        """Type a slash command. Gives what the person privately saw up to the acknowledgement."""
        person = self.user(user)
        place = self._present(person, self.channel(channel, person.id))
        known = next((each for each in self.commands if each["command"] == command), None)
        if known is None and self.commands:
            raise LookupError(f"{command} is not a command here")
        said = (
            from_typed(text, self._named_reference)
            if known and known.get("should_escape")
            else text
        )
        before = set(self.workspace.ephemeral)
        await self.interactions.command(person.id, place.id, command, said)
        return [each for each in self.ephemerals(user, place.id) if each.id not in before]

    async def shortcut(self, user: str, callback_id: str, message: Message | None = None) -> None:
        """Use a global shortcut, or one on a message."""
        await self.interactions.shortcut(self.user(user).id, callback_id, message)

    async def submit(
        self, user: str, values: Json | None = None, view: View | None = None
    ) -> dict[str, str]:
        """Submit the topmost (or the given) modal. Gives the errors by block id; none means it was taken.

        `values` by block id and action id: either Slack's own objects or, for text and menus, plain strings.
        """
        modal = view or self.modal(user)
        if modal is None or modal not in self.workspace.stack(self.user(user).id):
            raise LookupError("no such modal is open")
        return await self.interactions.submit(modal.user, modal, state_values(modal, values or {}))

    async def close_view(self, user: str, view: View | None = None) -> None:
        """Close the topmost (or the given) modal."""
        modal = view or self.modal(user)
        if modal is None:
            raise LookupError("no modal is open")
        await self.interactions.closed(modal.user, modal, self.modals.close(modal))

    async def open_home(self, user: str, tab: str = "home") -> str:
        """Open the app's Home (or Messages) tab. Gives the id of the DM with the app."""
        channel = self.dm(user)
        self.feed.home_opened(self.user(user).id, tab, channel)
        return channel

    async def stop_session(self, user: str, channel: str, thread: str) -> None:
        """Press Slack's own Stop control of a thread in which the app is working."""
        person, place = self.user(user), self.channel(channel, self.user(user).id)
        if not self.can_stop(place.id, thread):
            raise LookupError(
                "there is no Stop control: nothing is being processed, or the app does not listen for it"
            )
        stopped = stop_by_user(self.workspace, place.id, thread)
        self.feed.session_stopped(person.id, place.id, thread, stopped)

    def can_stop(self, channel: str, thread: str) -> bool:
        """Slack shows its Stop control while a session is processing, if the app subscribed to hear of it."""
        state = self.workspace.thread_state(channel, thread)
        return state.session == "processing" and "agent_session_stopped" in self.feed.subscribed

    async def rename_session(self, user: str, channel: str, thread: str, title: str) -> None:
        """The person gives the session another title."""
        person, place = self.user(user), self.channel(channel, self.user(user).id)
        self.workspace.set_session(place.id, thread, title=title)
        self.feed.title_changed(person.id, place.id, thread, title)

    def expire_stream(self, channel: str, ts: str) -> None:
        """Let the stream of a message run out now."""
        expire_stream(self.workspace, self.message(channel, ts))

    def vanish(self, channel: str, ts: str) -> None:
        """Somebody with the right to do so deletes any message, the app's too."""
        self.workspace.delete(self.message(channel, ts))

    # -- inside

    def place(self, where: Where) -> Container:
        """Where elements stand: by object, or by the ts of a message or private message, or by a view's id."""
        spot = self._spot(where) if isinstance(where, str) else where
        if isinstance(spot, Message):
            return Container(spot.blocks, message=spot)
        if isinstance(spot, Ephemeral):
            return Container(spot.blocks, ephemeral=spot)
        return Container(spot.blocks, view=spot)

    def _spot(self, ref: str) -> Message | Ephemeral | View:
        if ref in self.workspace.views:
            return self.workspace.views[ref]
        for channel in self.workspace.channels.values():
            if ref in channel.messages:
                return channel.messages[ref]
        for whisper in self.workspace.ephemeral.values():
            if ref in (whisper.ts, whisper.id):
                return whisper
        raise LookupError(f"there is no message {ref}")

    def _visible(self, person: User, place: Container) -> Container:
        """The place, if this person can see it."""
        if place.view is not None and place.view.user != person.id:
            raise LookupError(f"{person.name} does not see this view")
        if place.ephemeral is not None and place.ephemeral.viewer != person.id:
            raise LookupError(f"{person.name} does not see this message")
        if place.message is not None:
            self._present(person, self.workspace.channels[place.message.channel])
        return place

    def _present(self, person: User, channel: Channel) -> Channel:
        if person.id not in channel.members:
            raise LookupError(f"{person.name} is not in {channel.name}")
        if channel.is_archived:
            raise SlackRefusal("is_archived")
        return channel

    def _root(self, channel: Channel, thread: str | None) -> str | None:
        if not thread:
            return None
        if thread not in channel.messages:
            raise SlackRefusal("thread_not_found")
        return channel.messages[thread].root

    def _own(self, user: str, channel: str, ts: str) -> Message:
        message = self.message(self.channel(channel, self.user(user).id).id, ts)
        if message.user != self.user(user).id:
            raise LookupError("only one's own messages can be changed")
        return message

    def _shared(self, person: User, channel: Channel, file: Upload | File | str) -> str:
        if isinstance(file, Upload):
            file = self.upload(person.id, file)
        known = self.workspace.files[file if isinstance(file, str) else file.id]
        known.channels.append(channel.id)
        return known.id

    def _suggest_invitation(self, person: User, channel: Channel, raw: str) -> None:
        bot = self.workspace.bot
        if bot.id in mentioned(raw) and bot.id not in channel.members:
            text = f"@{bot.real_name} is not in this channel: add it, then ask again."
            self.workspace.notice(person.id, text, channel.id)

    def _reference(self, name: str) -> str | None:
        if name.startswith("#"):
            channel = self.workspace.channel_named(name)
            return f"<#{channel.id}|{channel.name}>" if channel else None
        if name in ("@channel", "@here", "@everyone"):
            return f"<!{name[1:]}>"
        user = self.workspace.user_named(name)
        return f"<@{user.id}>" if user else None

    def _named_reference(self, name: str) -> str | None:
        user = self.workspace.user_named(name) if name.startswith("@") else None
        return f"<@{user.id}|{user.name}>" if user else self._reference(name)
