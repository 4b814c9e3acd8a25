"""A row of the table `questions` as a value: a user's question before it has a chat."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from bot.domain import ModelRef, SharedFile, Thread
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from storage.statements.rows import files_from_json, to_options


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A user's question before it has a chat; it may lack its text."""

    id: str
    thread: Thread
    """The thread where the menu is and the chat will be."""
    ts: str
    """Timestamp of the Slack message that mentioned the bot, or the id of the dialog."""
    user: str
    created_at: datetime
    user_team: str | None = None
    text: str | None = field(default=None, repr=False)
    """None as long as the user has only mentioned the bot."""
    source: str | None = None
    """Timestamp of the Slack message with the text, which becomes the first user message's source. None for a request
    from a dialog that is not posted in Slack yet."""
    files: tuple[SharedFile, ...] = ()
    context: str | None = field(default=None, repr=False)
    """The earlier messages of the thread, for the model."""
    context_files: tuple[SharedFile, ...] = ()
    """Files that were shared in the thread earlier."""
    said_until: str | None = None
    """Timestamp of the newest message in the thread that came after the question and belongs to no request."""
    read_until: str | None = None
    """Timestamp of the newest message up to which the thread has been read."""
    said_since: str | None = field(default=None, repr=False)
    """What was said in the thread after the question, as far as it has been read."""
    model: ModelRef | None = None
    """The model that the user has chosen."""
    options: ModelOptions = NO_OPTIONS
    """The options that the user has chosen with it."""
    menu_ts: str | None = None
    """Timestamp of the Slack message with the menu, once Slack has confirmed it."""
    open: bool = True
    """Whether it has neither become a message of a chat nor been closed."""
    message_id: str | None = None
    """Id of the user message that it has become."""

    @property
    def needs_context(self) -> bool:
        """Whether something was said in its thread, before or after the question, that has not been read yet."""
        before = self.context is None and self.thread.ts != self.ts
        since = (self.said_until or "") > (self.read_until or "")
        return self.mention_ts is not None and (before or since)

    @property
    def mention_ts(self) -> str | None:
        """Timestamp of the Slack message that mentioned the bot; None for a request from a dialog."""
        return self.ts if "." in self.ts else None


def to_request(row: Row[Any]) -> ChatRequest:
    return ChatRequest(
        id=row.id,
        thread=Thread(row.team, row.channel, row.thread),
        ts=row.ts,
        user=row.user,
        created_at=row.created_at,
        user_team=row.user_team,
        text=row.text,
        source=row.source,
        files=files_from_json(row.files),
        context=row.context,
        context_files=files_from_json(row.context_files),
        said_until=row.said_until,
        read_until=row.read_until,
        said_since=row.said_since,
        options=to_options(row),
        model=ModelRef.parse(row.model) if row.model else None,
        menu_ts=row.menu_ts,
        open=row.state == "open",
        message_id=row.message_id,
    )
