"""What moves with a channel to which Slack gives another id: its chats, its requests, its settings."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, not_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import channel_settings, chats, questions


async def move_channel(connection: AsyncConnection, team: str, old: str, new: str) -> None:
    """Gives everything of the channel `old` to `new`, unless the same is there already."""
    for table, within in ((chats, chats.c.thread), (questions, questions.c.ts)):
        target = table.alias("target")
        taken = exists().where(
            target.c.team == team, target.c.channel == new, target.c[within.name] == within
        )
        moved = and_(table.c.team == team, table.c.channel == old, not_(taken))
        await connection.execute(update(table).where(moved).values(channel=new))
    await _move_settings(connection, team, old, new)


async def _move_settings(connection: AsyncConnection, team: str, old: str, new: str) -> None:
    target = channel_settings.alias("target")
    taken = exists().where(target.c.team == team, target.c.channel == new)
    here = and_(channel_settings.c.team == team, channel_settings.c.channel == old)
    await connection.execute(update(channel_settings).where(here, not_(taken)).values(channel=new))
    await connection.execute(delete(channel_settings).where(here))
