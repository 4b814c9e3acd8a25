"""The effects of moves: a channel that gets another id, and a person who leaves or returns to a private channel."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, not_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import User
from storage.tables import channel_settings, chats, participants, questions


async def move_channel(connection: AsyncConnection, team: str, old: str, new: str) -> None:
    """Assigns everything in the channel `old` to `new`, unless the same is there already."""
    for table, within in ((chats, chats.c.thread), (questions, questions.c.ts)):
        target = table.alias("target")
        taken = exists().where(
            target.c.team == team, target.c.channel == new, target.c[within.name] == within
        )
        moved = and_(table.c.team == team, table.c.channel == old, not_(taken))
        await connection.execute(update(table).where(moved).values(channel=new))
    from_there = and_(chats.c.team == team, chats.c.origin_channel == old)
    await connection.execute(update(chats).where(from_there).values(origin_channel=new))
    await _move_settings(connection, team, old, new)


async def _move_settings(connection: AsyncConnection, team: str, old: str, new: str) -> None:
    target = channel_settings.alias("target")
    taken = exists().where(target.c.team == team, target.c.channel == new)
    here = and_(channel_settings.c.team == team, channel_settings.c.channel == old)
    await connection.execute(update(channel_settings).where(here, not_(taken)).values(channel=new))
    await connection.execute(delete(channel_settings).where(here))


async def set_away(connection: AsyncConnection, user: User, channel: str, away: bool) -> None:
    """See `storage.chats.Chats.set_away`."""
    in_channel = select(chats.c.id).where(chats.c.team == user.team, chats.c.channel == channel)
    changed = and_(
        participants.c.team == user.team,
        participants.c.user == user.id,
        participants.c.away != away,
        participants.c.chat_id.in_(in_channel),
    )
    await connection.execute(update(participants).where(changed).values(away=away))
