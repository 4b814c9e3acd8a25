"""The records of a workspace: people, channels, and messages with every state that a person could see.

Times are seconds since the epoch, as the workspace's clock gives them; `ts` are Slack's message ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bot.sandbox.types import Json

ChannelType = Literal["channel", "group", "im", "mpim"]
TextFormat = Literal["mrkdwn", "markdown"]
StreamPhase = Literal["open", "done", "expired", "stopped"]


@dataclass(frozen=True, slots=True)
class AppFeatures:
    """What the app's configuration enables. The default is everything."""

    home_tab: bool = True
    messages_tab: bool = True
    messages_read_only: bool = False
    """People may not write in the app's messages tab."""
    interactivity: bool = True
    """Buttons, menus, dialogs and shortcuts reach the app."""
    assistant_view: bool = False
    """Direct messages with the app are threads whose beginning is announced to it (Slack's older view of agents)."""
    unfurl_domains: tuple[str, ...] | None = None
    """The domains whose links the app previews; None: all."""


@dataclass(slots=True)
class User:
    """A person or a bot. `app_id` is set for bots; `is_restricted`: a guest; `is_stranger`: from another team."""

    id: str
    name: str
    real_name: str
    team_id: str
    color: str
    bot_id: str | None = None
    app_id: str | None = None
    is_restricted: bool = False
    is_stranger: bool = False
    is_deactivated: bool = False
    is_admin: bool = False
    locale: str = "en-US"

    @property
    def is_bot(self) -> bool:
        return self.bot_id is not None


@dataclass(slots=True)
class File:
    """An uploaded file. Others can see it once a message shares it."""

    __pydantic_config__: ClassVar = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}
    """How its content is written to a workspace's file."""

    id: str
    name: str
    title: str
    mimetype: str
    content: bytes
    user: str
    created: float
    mode: str = "hosted"
    alt_text: str = ""
    channels: list[str] = field(default_factory=list)
    json_overrides: Json = field(default_factory=dict)
    """Fields that replace those of the file's usual JSON; None removes a field."""


@dataclass(frozen=True, slots=True)
class State:
    """What a person saw from the time `at` on: the visible text and the blocks."""

    at: float
    text: str
    blocks: tuple[Json, ...] = ()


@dataclass(slots=True)
class Revision:
    """One version of a message's content.

    A streamed message grows inside one revision: `pieces` are the appended texts, and `marks` record when the text had
    which length, so an append costs the same however long the message is.
    """

    format: TextFormat
    pieces: list[str]
    marks: list[tuple[float, int]]
    blocks: list[Json] = field(default_factory=list)
    fallback: str = ""

    @property
    def text(self) -> str:
        """The whole visible text."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    @property
    def length(self) -> int:
        return self.marks[-1][1] if self.marks else 0

    def append(self, at: float, text: str) -> None:
        self.pieces.append(text)
        self.marks.append((at, self.length + len(text)))


@dataclass(slots=True)
class Stream:
    """The stream of a message: open until it is stopped, expires, or the person presses Slack's own Stop."""

    recipient: str | None
    started_at: float
    expires_at: float
    display: str
    phase: StreamPhase = "open"
    mode: Literal["text", "chunks"] | None = None
    size: int = 0
    full: bool = False
    ended_at: float | None = None
    plan: str | None = None
    tasks: dict[str, Json] = field(default_factory=dict)
    block_count: int = 0


@dataclass(slots=True)
class Message:
    """A message with all its revisions."""

    channel: str
    ts: str
    user: str
    thread_ts: str | None
    revisions: list[Revision]
    subtype: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    icon: str | None = None
    stream: Stream | None = None
    edited: tuple[str, str] | None = None
    deleted_at: float | None = None
    metadata: Json | None = None
    typed: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    """Forwarded messages, and reports of apps in Slack's older form."""
    replies: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The ts of the thread that this message belongs to or would start."""
        return self.thread_ts or self.ts

    @property
    def latest(self) -> Revision:
        return self.revisions[-1]

    @property
    def text(self) -> str:
        """The visible text: the streamed or posted Markdown, else the text of the blocks, else the plain text."""
        return self.latest.text

    @property
    def blocks(self) -> list[Json]:
        return self.latest.blocks

    @property
    def streaming(self) -> bool:
        return self.stream is not None and self.stream.phase == "open"

    @property
    def states(self) -> list[State]:
        """Every visible state, oldest first, as the recipient saw it (or everyone, if it is not a stream)."""
        return list(self._states())

    def _states(self) -> Iterator[State]:
        for revision in self.revisions:
            text, blocks = revision.text, tuple(revision.blocks)
            last = len(revision.marks) - 1
            for number, (at, length) in enumerate(revision.marks):
                yield State(at, text[:length], blocks if number == last else ())

    def states_for(self, user: str) -> list[State]:
        """Every state that `user` saw; of another user's stream, only the first piece and the end."""
        states = self.states
        if self.stream is None or self.stream.recipient in (None, user):
            return states
        streamed = len(self.revisions[0].marks)
        first = next((number for number in range(streamed) if states[number].text), streamed - 1)
        kept = states[: first + 1]
        if self.stream.phase in ("done", "stopped"):
            kept += states[max(first + 1, streamed - 1) : streamed]
        return kept + states[streamed:]

    def text_for(self, user: str) -> str:
        """The text that `user` sees now."""
        if self.stream is None or len(self.revisions) > 1 or self.stream.recipient in (None, user):
            return self.text
        if self.stream.phase in ("done", "stopped"):
            return self.text
        first = next((length for _, length in self.latest.marks if length), 0)
        return self.text[:first]


@dataclass(frozen=True, slots=True)
class ChannelText:
    """A channel's topic or purpose: who set it, and when (whole seconds)."""

    value: str = ""
    creator: str = ""
    last_set: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A message that is pinned to its channel: by whom, and when (whole seconds)."""

    ts: str
    user: str
    created: int


@dataclass(slots=True)
class Channel:
    """A public or private channel, a DM (`im`) or a group DM (`mpim`)."""

    id: str
    name: str
    type: ChannelType
    members: list[str]
    created: float
    topic: str = ""
    is_archived: bool = False
    ext_shared: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    deleted: list[Message] = field(default_factory=list)
    last_read: dict[str, str] = field(default_factory=dict)
    creator: str = ""
    topic_set: ChannelText = ChannelText()
    purpose: ChannelText = ChannelText()
    previous_names: list[str] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    """The newest first."""
    bookmarks: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class ScheduledMessage:
    """A message of the app that is posted at `post_at`; until then its ts is empty."""

    id: str
    message: Message
    post_at: int
    created: int


@dataclass(slots=True)
class Ephemeral:
    """A message that only one person sees. The app can change it only through its response URL."""

    id: str
    channel: str
    thread_ts: str | None
    ts: str
    viewer: str
    author: str
    format: TextFormat
    text: str
    blocks: list[Json]
    fallback: str = ""
    at: float = 0.0
    attachments: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class View:
    """A modal or an App Home as the app defined it, and what the person has entered."""

    id: str
    user: str
    definition: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Json = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    response_urls: bool = False
    earlier: list[list[Json]] = field(default_factory=list, repr=False)
    """The blocks that it showed before, newest first, since a click may be on its way while it is replaced."""

    @property
    def type(self) -> str:
        return str(self.definition.get("type"))

    @property
    def blocks(self) -> list[Json]:
        return list(self.definition.get("blocks", ()))


@dataclass(slots=True)
class Thread:
    """What Slack stores for a thread besides its messages: the status line and the agent session."""

    channel: str
    thread_ts: str
    status: str = ""
    loading_messages: list[str] = field(default_factory=list)
    status_expires: float = 0.0
    statuses: list[tuple[float, str]] = field(default_factory=list)
    title: str | None = None
    session: str | None = None
    titles: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Container:
    """What holds an element that a user acts on: a message, an ephemeral message or a view."""

    blocks: list[Json]
    message: Message | None = None
    ephemeral: Ephemeral | None = None
    view: View | None = None

    @property
    def earlier(self) -> list[list[Json]]:
        """Its earlier contents before edits, newest first."""
        if self.message is not None:
            return [revision.blocks for revision in reversed(self.message.revisions[:-1])]
        return self.view.earlier if self.view is not None else []
