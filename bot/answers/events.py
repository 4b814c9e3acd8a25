"""What happens in chats, as it happens, for whoever listens: messages, tokens, endings, titles, requests to stop.

Events may be lost, so each piece of text says where it belongs: its attempt, and how many characters come before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.domain import Answer, AnswerResult, Chat
from storage.chats import StoredMessage
from storage.coordination import Coordination

STOP_TOPIC = "stops"
TEXT_REQUEST_TOPIC = "texts"
"""Where the writer of an answer is asked for the text so far."""
WAKE_TOPIC = "wakes"
"""Where a process that is ending says in which chats it leaves work."""
REVOCATION_TOPIC = "tokens"
"""Where it is said that tokens for programs have ended."""
INSTALLATION_TOPIC = "installations"
"""Where it is said that the app was installed or removed somewhere."""
MAX_MERGED_LENGTH = 4_000
"""Characters that are told at once when they have waited for each other: readers count what lies unread."""


def team_topic(team: str) -> str:
    """Where the changes in one workspace's chats are told."""
    return f"team:{team}"


class EventPublisher:
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
            while not self._queue.empty():
                await self._coordination.publish(*self._queue.get_nowait())

    def message_added(self, said: StoredMessage) -> None:
        """Somebody said something, and an answer waits to be written."""
        event = {
            "chat": said.chat.id,
            "said": said.message.id,
            "message": said.answer.id,
            "by": said.message.author,
        }
        self._tell(team_topic(said.chat.team), event)

    def text_appended(self, chat: Chat, answer: Answer, text: str, at: int) -> None:
        """A piece of an answer; `at`: characters of this attempt before it."""
        event = {
            "chat": chat.id,
            "message": answer.id,
            "attempt": answer.attempt,
            "at": at,
            "token": text,
        }
        self._tell(team_topic(chat.team), event)

    async def answer_ended(self, chat: Chat, answer: Answer, result: AnswerResult) -> None:
        self._tell(
            team_topic(chat.team),
            {
                "chat": chat.id,
                "message": answer.id,
                "ended": str(result.status),
                "error": result.error,
            },
        )

    def title_changed(self, chat: Chat, title: str) -> None:
        self._tell(team_topic(chat.team), {"chat": chat.id, "title": title})

    def title_failed(self, chat: Chat) -> None:
        """No title will come: nobody needs to wait for one."""
        self._tell(team_topic(chat.team), {"chat": chat.id, "title": None})

    def request_stop(self, answer_id: str) -> None:
        """Asks whichever process writes this answer to stop."""
        self._tell(STOP_TOPIC, {"answer": answer_id})

    def request_wake(self, chat_id: str) -> None:
        """Asks the other processes to look for work in this chat."""
        self._tell(WAKE_TOPIC, {"chat": chat_id})

    def recheck_tokens(self, team: str | None) -> None:
        """Asks all processes to look whether programs of this workspace, or of any, may still listen."""
        self._tell(REVOCATION_TOPIC, {"team": team})

    def recheck_installations(self) -> None:
        """Asks all processes to look again where the app is installed."""
        self._tell(INSTALLATION_TOPIC, {})

    def _tell(self, name: str, event: dict[str, Any]) -> None:
        # The database has the whole text: a flood must not fill the memory.
        if self._coordination.may_have_subscribers(name) and not self._queue.full():
            self._queue.put_nowait((name, event))

    async def _pass_on(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            for name, event in merge_deltas(waiting):
                await self._coordination.publish(name, event)


def merge_deltas(events: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The same events, pieces of one answer that follow each other made one: what waited is told in fewer words."""
    told: list[tuple[str, dict[str, Any]]] = []
    last: dict[str, dict[str, Any]] = {}
    for name, event in events:
        before = last.pop(event.get("message", ""), None)
        if before is not None and "token" in event and _follows(before, event):
            before["token"] += event["token"]
            event = before
        else:
            told.append((name, event))
        if "token" in event:
            last[event["message"]] = event
    return told


def _follows(before: dict[str, Any], event: dict[str, Any]) -> bool:
    small = len(before["token"]) + len(event["token"]) <= MAX_MERGED_LENGTH
    end = before["at"] + len(before["token"])
    return small and bool(before["attempt"] == event["attempt"] and end == event["at"])
