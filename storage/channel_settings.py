"""What admins have set for channels: instructions, default model, whether the menu is skipped, and tools."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from sqlalchemy import select

from bot.domain import Chat, ModelRef
from bot.domain.tool_calls import ALL_TOOLS, ChannelTools
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.tables import channel_settings


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The settings of one channel. A chat keeps the ones it started with."""

    instructions: str = field(default="", repr=False)
    """Sent after the fixed system prompt."""
    default_model: ModelRef | None = None
    """Preselected for people who have not set their own model."""
    skip_menu: bool = False
    """Whether the preselected model answers mentions immediately."""
    tools: ChannelTools = ALL_TOOLS
    """Which tools may be used; takes effect immediately, also in existing chats."""


class ChannelSettingsStore:
    """The repository of channel settings. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, team: str, channel: str) -> ChannelSettings:
        """The channel's settings; the defaults if nobody has set any."""
        same = (channel_settings.c.team == team, channel_settings.c.channel == channel)
        async with self._database.read() as connection:
            row = (await connection.execute(select(channel_settings).where(*same))).one_or_none()
        if row is None:
            return ChannelSettings()
        model = ModelRef.parse(row.default_model) if row.default_model else None
        return ChannelSettings(row.instructions, model, row.skip_menu, _tools(row.tools))

    async def tools_for(self, chat: Chat) -> ChannelTools:
        """Which tools may be used in a chat: according to its channel's settings, or those of its original channel."""
        channel = chat.thread.channel if chat.thread else chat.origin_channel
        if channel is None:
            return ALL_TOOLS
        return (await self.get(chat.team, channel)).tools

    async def set(self, team: str, channel: str, settings: ChannelSettings, by: str) -> None:
        """`by`: Slack id of the user who changes them."""
        model = settings.default_model
        values = {
            "instructions": settings.instructions,
            "default_model": None if model is None else str(model),
            "skip_menu": settings.skip_menu,
            "tools": json.dumps(asdict(settings.tools)),
            "changed_by": by,
            "updated_at": utc_now(),
        }
        row = {"team": team, "channel": channel, **values}
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, channel_settings)
                .values(row)
                .on_conflict_do_update(index_elements=["team", "channel"], set_=values)
            )


def _tools(text: str | None) -> ChannelTools:
    stored = json.loads(text) if text else {}
    return ChannelTools(tuple(stored.get("use", ())), tuple(stored.get("ask", ())))
