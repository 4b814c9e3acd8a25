"""Publishes what happens in chats to all processes: messages, text, ends, titles, requests to stop or to look again.

Events may be lost, so each piece of text carries its position: its attempt, and how many characters come before it.
Topics and fields keep their names, because replicas of different versions run side by side during an upgrade.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.domain import Answer, AnswerResult, Chat
from bot.domain.steps import Step
from bot.domain.tool_calls import StoredCall
from bot.runtime.tasks import cancelled_on_leaving
from storage.coordination import Coordination
from storage.messages import StoredMessage

STOP_TOPIC = "stops"
"""Requests to stop an answer."""
TEXT_REQUEST_TOPIC = "texts"
"""Requests to the writer of an answer for its text so far."""
WAKE_TOPIC = "wakes"
"""Chats in which a closing process leaves work."""
ACCESS_TOPIC = "tokens"
"""Changes in who may see or use something."""
INSTALLATION_TOPIC = "installations"
"""Installations and removals of the app."""
MAX_QUEUED_EVENTS = 50_000
MAX_MERGED_LENGTH = 4_000
"""The longest text into which queued events are merged, since subscribers limit unread characters."""

Queued = tuple[str, dict[str, Any]]
"""A topic and an event."""


def team_topic(team: str) -> str:
    """The topic of the changes in one workspace's chats."""
    return f"team:{team}"


class EventPublisher:
    """Publishes events in order, without making the caller wait."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self._queue: asyncio.Queue[Queued] = asyncio.Queue(maxsize=MAX_QUEUED_EVENTS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publishes queued events while this is open; leaving it publishes the rest."""
        task = asyncio.create_task(self._publish_queued(), name="live events")
        try:
            async with cancelled_on_leaving(task):
                yield
        finally:
            while not self._queue.empty():
                await self._coordination.publish(*self._queue.get_nowait())

    def message_added(self, stored: StoredMessage) -> None:
        """A user sent a message, and an answer is waiting to be written."""
        event = {
            "chat": stored.chat.id,
            "said": stored.message.id,
            "message": stored.answer.id,
            "by": stored.message.author,
        }
        self._queue_event(team_topic(stored.chat.team), event)

    def text_appended(self, chat: Chat, answer: Answer, text: str, at: int) -> None:
        """More text of an answer. `at`: characters of this attempt before it."""
        event = {
            "chat": chat.id,
            "message": answer.id,
            "attempt": answer.attempt,
            "at": at,
            "token": text,
        }
        self._queue_event(team_topic(chat.team), event)

    def step_changed(self, chat: Chat, answer: Answer, step: Step) -> None:
        """A step of an answer has begun or changed. Its detail is not published."""
        event = {
            "chat": chat.id,
            "message": answer.id,
            "attempt": answer.attempt,
            "step": {
                "number": step.number,
                "kind": str(step.kind),
                "name": step.name,
                "status": str(step.status),
                "seconds": step.seconds,
            },
        }
        self._queue_event(team_topic(chat.team), event)

    def approval_changed(self, team: str, chat_id: str, call: StoredCall) -> None:
        """A tool call needs the asker's decision, or has been decided. Its arguments are in the database."""
        event = {"chat": chat_id, "message": call.answer_id, "approval": call.id}
        self._queue_event(team_topic(team), event)

    def answer_ended(self, chat: Chat, answer: Answer, result: AnswerResult) -> None:
        event = {
            "chat": chat.id,
            "message": answer.id,
            "ended": str(result.status),
            "error": result.error,
        }
        self._queue_event(team_topic(chat.team), event)

    def title_changed(self, chat: Chat, title: str) -> None:
        self._queue_event(team_topic(chat.team), {"chat": chat.id, "title": title})

    def title_failed(self, chat: Chat) -> None:
        """There will be no title, so nobody should wait for one."""
        self._queue_event(team_topic(chat.team), {"chat": chat.id, "title": None})

    def request_stop(self, answer_id: str) -> None:
        """Asks whichever process writes this answer to stop."""
        self._queue_event(STOP_TOPIC, {"answer": answer_id})

    def request_wake(self, chat_id: str) -> None:
        """Asks the other processes to look for work in this chat."""
        self._queue_event(WAKE_TOPIC, {"chat": chat_id})

    def access_changed(self, team: str | None, user: str | None = None) -> None:
        """Asks all processes to check again what this user, or everybody in this workspace or in all of them, may
        see.
        """
        self._queue_event(ACCESS_TOPIC, {"team": team, "user": user})

    def recheck_installations(self) -> None:
        """Asks all processes to re-read where the app is installed."""
        self._queue_event(INSTALLATION_TOPIC, {})

    def _queue_event(self, topic: str, event: dict[str, Any]) -> None:
        # Events beyond the size of the queue are dropped: the database has the whole text, and memory is limited.
        if self._coordination.may_have_subscribers(topic) and not self._queue.full():
            self._queue.put_nowait((topic, event))

    async def _publish_queued(self) -> None:
        while True:
            queued = [await self._queue.get()]
            while not self._queue.empty():
                queued.append(self._queue.get_nowait())
            for topic, event in merge_deltas(queued):
                await self._coordination.publish(topic, event)


def merge_deltas(events: list[Queued]) -> list[Queued]:
    """The same events, with consecutive pieces of one answer merged into one."""
    merged: list[Queued] = []
    last: dict[str, dict[str, Any]] = {}
    """For each answer, its newest event if that is a piece of text."""
    for topic, event in events:
        before = last.pop(event.get("message", ""), None)
        if before is not None and "token" in event and _continues(before, event):
            before["token"] += event["token"]
            event = before
        else:
            merged.append((topic, event))
        if "token" in event:
            last[event["message"]] = event
    return merged


def _continues(before: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether the event's text follows on from the one before, and both together are not too long."""
    length = len(before["token"]) + len(event["token"])
    end = before["at"] + len(before["token"])
    return bool(
        length <= MAX_MERGED_LENGTH and before["attempt"] == event["attempt"] and end == event["at"]
    )
