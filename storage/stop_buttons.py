"""Whether the header of a chat has a Stop button, and whether it should have one: while an answer is unwritten.

    shown --set_hidden, while nothing is unwritten--> hidden
      ^                                                 |
      +------- set_shown, while something is -----------+

`shown` means that the button may be there: it is stored before the call that shows the button, and `hidden` after the
call that removes it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, false, not_, select, update

from storage.engine.database import Database
from storage.tables import IS_OPEN, IS_UNWRITTEN, answers, chats


class StopButtons:
    """The repository of Stop buttons. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_wanted(self, chat_id: str) -> bool:
        """Whether an answer of this chat is waiting or being written, so that there is something to stop."""
        async with self._database.read() as connection:
            return bool(await connection.scalar(select(_unwritten(chat_id))))

    async def set_shown(self, chat_id: str) -> bool:
        """Marks the button as shown; returns whether it is wanted and was hidden until now."""
        hidden = chats.c.stop_shown == false()
        return await self._set(True, chats.c.id == chat_id, hidden, _unwritten(chat_id))

    async def set_hidden(self, chat_id: str) -> bool:
        """Marks the button as hidden; returns whether it was shown until now and is no longer wanted."""
        shown = chats.c.stop_shown.is_not(False)
        return await self._set(False, chats.c.id == chat_id, shown, not_(_unwritten(chat_id)))

    async def _set(self, shown: bool, *where: Any) -> bool:
        # Not `updated_at`: the chat itself has not changed.
        query = update(chats).where(*where).values(stop_shown=shown)
        async with self._database.begin() as connection:
            return (await connection.execute(query)).rowcount > 0


def _unwritten(chat_id: str) -> Any:
    return exists().where(answers.c.chat_id == chat_id, IS_OPEN, IS_UNWRITTEN)
