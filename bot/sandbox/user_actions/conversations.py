"""What people do in conversations: write, edit, delete, react, join, leave and upload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, File, Message, User
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.text import mentioned_users, raw_text
from bot.sandbox.types import Json
from bot.sandbox.user_actions.access import require_access, require_open_messages_tab
from bot.sandbox.web_api.messages import forward_json


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a person adds to a message."""

    name: str
    content: bytes
    mimetype: str = "application/octet-stream"


class ConversationActions:
    """Messages, reactions, files and membership."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread: str | None = None,
        files: Sequence[Upload | File | str] = (),
        *,
        broadcast: bool = False,
        attachments: Sequence[Json] = (),
        blocks: Sequence[Json] = (),
    ) -> str:
        """Posts as a person; `text` as typed (`@name` and `<@U…>` mention, the rest is escaped). Returns the ts.

        Other apps post as their bot users, and may add `attachments` and `blocks`.
        """
        person = self._workspace.user(user)
        conversation = require_access(person, self._workspace.channel_for(person.id, channel))
        require_open_messages_tab(self._workspace, person, conversation)
        raw = raw_text(text, self._workspace.reference)
        message = Message(
            channel=conversation.id,
            ts=self._workspace.next_ts(),
            user=person.id,
            thread_ts=self._thread_root(conversation, thread),
            revisions=[self._workspace.revision("mrkdwn", raw, [*blocks])],
            typed=text,
            attachments=[*attachments],
        )
        if person.is_bot:
            message.bot_id = person.bot_id
            message.app_id = person.app_id
        message.files = [self._share(person, conversation, file) for file in files]
        if broadcast and message.thread_ts:
            message.subtype = "thread_broadcast"
        self._workspace.post(message)
        self._suggest_invitation(person, conversation, raw)
        return message.ts

    async def forward(
        self,
        user: str,
        channel: str,
        ts: str,
        to: str,
        comment: str = "",
        thread: str | None = None,
    ) -> str:
        """Forwards a message that this person can see to the channel `to`, with a comment or without."""
        person = self._workspace.user(user)
        source = require_access(person, self._workspace.channel_for(person.id, channel))
        forwarded = forward_json(self._workspace, self._workspace.message(source.id, ts))
        return await self.say(user, to, comment, thread, attachments=[forwarded])

    async def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """Edits a message of this person."""
        message = self._own_message(user, channel, ts)
        message.typed = text
        revision = self._workspace.revision("mrkdwn", raw_text(text, self._workspace.reference), [])
        self._workspace.edit(message, revision, message.user)

    async def delete(self, user: str, channel: str, ts: str) -> None:
        """Deletes a message of this person."""
        self._workspace.delete(self._own_message(user, channel, ts))

    async def react(
        self, user: str, channel: str, ts: str, name: str, *, remove: bool = False
    ) -> None:
        """Adds or removes a reaction."""
        change = self._workspace.remove_reaction if remove else self._workspace.add_reaction
        change(self._workspace.message(channel, ts), name.strip(":"), self._workspace.user(user).id)

    async def join(self, user: str, channel: str, inviter: str | None = None) -> None:
        """Joins a channel, or is invited (`inviter`); bots can be invited too."""
        self._workspace.join(
            self._workspace.channel(channel),
            self._workspace.user(user).id,
            self._workspace.user(inviter).id if inviter else None,
        )

    async def leave(self, user: str, channel: str) -> None:
        """Leaves a channel, or is removed from it."""
        person = self._workspace.user(user)
        conversation = self._workspace.channel(channel)
        if person.id not in conversation.members:
            raise LookupError(f"{person.name} is not in {conversation.name}")
        self._workspace.leave(conversation, person.id)

    def upload(self, user: str, upload: Upload) -> File:
        """Uploads a file without sharing it yet."""
        mode = "snippet" if upload.mimetype.startswith("text/") else "hosted"
        name = upload.name.replace("/", "_") or "file"
        file = File(
            id=self._workspace.new_id("F"),
            name=name,
            title=name,
            mimetype=upload.mimetype,
            content=upload.content,
            user=self._workspace.user(user).id,
            created=self._workspace.clock(),
            mode=mode,
        )
        self._workspace.files[file.id] = file
        return file

    def _thread_root(self, channel: Channel, thread: str | None) -> str | None:
        if not thread:
            return None
        if thread not in channel.messages:
            raise SlackRefusal("thread_not_found")
        return channel.messages[thread].root

    def _own_message(self, user: str, channel: str, ts: str) -> Message:
        message = self._workspace.message(
            self._workspace.channel_for(self._workspace.user(user).id, channel).id, ts
        )
        if message.user != self._workspace.user(user).id:
            raise LookupError("only one's own messages can be changed")
        return message

    def _share(self, person: User, channel: Channel, file: Upload | File | str) -> str:
        if isinstance(file, Upload):
            file = self.upload(person.id, file)
        known = self._workspace.files[file if isinstance(file, str) else file.id]
        known.channels.append(channel.id)
        return known.id

    def _suggest_invitation(self, person: User, channel: Channel, raw: str) -> None:
        bot = self._workspace.bot
        if bot.id in mentioned_users(raw) and bot.id not in channel.members:
            text = f"@{bot.real_name} isn't in this channel. Add it with `/invite @{bot.real_name}`, then ask again."
            self._workspace.show_notice(person.id, text, channel.id)
