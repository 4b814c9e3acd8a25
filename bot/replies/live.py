"""What happens in chats, as it happens, for whoever listens: tokens, endings, titles, and requests to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.domain import Answer, Chat, Ending
from storage.coordination import Coordination

STOPS = "stops"
WAKES = "wakes"


def topic(team: str) -> str:
    """Where the changes in one workspace's chats are told."""
    return f"team:{team}"


class Live:
    """Tells through the coordination, in order and without making the writer wait."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(maxsize=50_000)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Events are passed on while this is open."""
        task = asyncio.create_task(self._pass_on(), name="live events")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def token(self, chat: Chat, answer: Answer, text: str) -> None:
        self._tell(topic(chat.team), {"chat": chat.id, "message": answer.id, "token": text})

    async def ended(self, chat: Chat, answer: Answer, ending: Ending) -> None:
        self._tell(
            topic(chat.team),
            {"chat": chat.id, "message": answer.id, "ended": str(ending.status), "error": ending.error},
        )

    def title(self, chat: Chat, title: str) -> None:
        self._tell(topic(chat.team), {"chat": chat.id, "title": title})

    def stop(self, answer_id: str) -> None:
        """Asks whichever process writes this answer to stop."""
        self._tell(STOPS, {"answer": answer_id})

    def _tell(self, name: str, event: dict[str, Any]) -> None:
        if not self._queue.full():  # the database has the whole text; a flood must not fill the memory
            self._queue.put_nowait((name, event))

    async def _pass_on(self) -> None:
        while True:
            name, event = await self._queue.get()
            await self._coordination.publish(name, event)
