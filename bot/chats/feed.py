"""Every change in a person's chats, in order, to whoever listens: from this process or another, from Slack or programs.

Events may be lost on their way. So the text of each answer that somebody follows is kept here while it is written:
pieces say where they belong, a gap is filled by asking the writer, and what nobody told is seen in the database.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.answers.events import REVOCATION_TOPIC, TEXT_REQUEST_TOPIC, team_topic
from bot.chats.feed_events import (
    MAX_UNREAD_EVENTS,
    AnswerEnded,
    AnswerRestarted,
    FeedEvent,
    FeedSubscription,
    MessageAdded,
    TextAppended,
    TitleChanged,
)
from bot.domain import Answer, Chat, Status, User
from bot.errors import StorageError
from bot.observability import get_logger
from storage.answers import Answers
from storage.chats import Chats
from storage.coordination import Coordination

log = get_logger(__name__)

CHECK_INTERVAL = 2.0
"""Seconds between two looks into the database for what nobody told."""
BUFFER_SIZE = 20_000
"""Events of a whole workspace that may wait here for a moment."""
CACHE_SIZE = 20_000


@dataclass(slots=True)
class _Page:
    """An answer as far as it is known here."""

    chat: str
    team: str
    message: str
    attempt: int = 0
    parts: list[str] = field(default_factory=list)
    length: int = 0
    touched: float = 0.0
    asked: float = 0.0

    def text(self) -> str:
        return "".join(self.parts)

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def void(self) -> None:
        self.parts, self.length = [], 0


class Feed:
    """One reader of the live events for all listeners of this process."""

    def __init__(self, coordination: Coordination, chats: Chats, answers: Answers) -> None:
        self._coordination, self._chats, self._answers = coordination, chats, answers
        self._own = f"{TEXT_REQUEST_TOPIC}:{secrets.token_hex(8)}"
        self._listeners: dict[str, set[FeedSubscription]] = {}
        self._teams: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._pages: dict[str, _Page] = {}
        self._over: OrderedDict[str, int] = OrderedDict()
        self._people: OrderedDict[str, set[str]] = OrderedDict()
        self._closed = False
        self._one = (
            asyncio.Lock()
        )  # events and newcomers come one at a time, or the order would be lost

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listening is possible while this is open; afterwards all listeners end."""
        tasks = [
            asyncio.create_task(self._hear(self._own, asyncio.Event()), name="texts so far"),
            asyncio.create_task(self._hear(REVOCATION_TOPIC, asyncio.Event()), name="ended tokens"),
            asyncio.create_task(self._look(), name="feed"),
        ]
        try:
            yield
        finally:
            self._closed = True
            tasks += [task for task, _ in self._teams.values()]
            async with (
                self._one
            ):  # cancelled in the middle of a query, a connection would be left behind
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for listener in [one for listeners in self._listeners.values() for one in listeners]:
                listener.end()

    @asynccontextmanager
    async def subscribe(
        self, user: User, most: int = MAX_UNREAD_EVENTS
    ) -> AsyncIterator[FeedSubscription]:
        """All changes from now on; first, for each answer that is being written, its text so far."""
        listener = FeedSubscription(user, most)
        if self._closed:
            listener.end()
            yield listener
            return
        listeners = self._listeners.setdefault(user.team, set())
        listeners.add(listener)
        try:
            await self._hear_team(user.team)
            async with self._one:
                await self._catch_up(listener)
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners:  # what happens is still heard, and passed over: others will come soon
                self._listeners.pop(user.team, None)
                self._pages = {
                    id: page for id, page in self._pages.items() if page.team != user.team
                }

    async def track(self, chat: Chat, answer: Answer) -> None:
        """Somebody waits for this answer: its end will be told even when its writer's events are lost."""
        async with self._one:
            if answer.id not in self._pages and self._over.get(answer.id, -1) < answer.attempt:
                self._pages[answer.id] = _Page(
                    chat.id, chat.team, answer.id, answer.attempt, touched=_now()
                )

    # -- who listens -------------------------------------------------------------------------------------------

    async def _hear_team(self, team: str) -> None:
        if team not in self._teams:
            subscribed = asyncio.Event()
            task = asyncio.create_task(
                self._hear(team_topic(team), subscribed), name=f"feed of {team}"
            )
            self._teams[team] = task, subscribed
        await self._teams[team][1].wait()

    async def _audience(self, team: str, chat: str) -> list[FeedSubscription]:
        listeners = self._listeners.get(team)
        if not listeners:
            return []
        people = await self._people_of(chat)
        return [listener for listener in listeners if listener.user.id in people]

    async def _people_of(self, chat: str) -> set[str]:
        known = self._people.get(chat)
        if known is None:
            known = {user.id for user in await self._chats.participants(chat)}
            self._people[chat] = known
            if len(self._people) > CACHE_SIZE:
                self._people.popitem(last=False)
        return known

    async def _catch_up(self, listener: FeedSubscription) -> None:
        user = listener.user
        for answer in await self._answers.open_for(user):
            if answer.id not in self._pages and self._over.get(answer.id, -1) < answer.attempt:
                page = _Page(answer.chat_id, user.team, answer.id, answer.attempt, touched=_now())
                self._pages[answer.id] = page
                await self._ask(page)
        for page in self._pages.values():
            if (
                page.team == user.team
                and page.length
                and user.id in await self._people_of(page.chat)
            ):
                listener.put(TextAppended(page.chat, page.message, page.text()))

    # -- what is heard -----------------------------------------------------------------------------------------

    async def _hear(self, name: str, subscribed: asyncio.Event) -> None:
        while True:
            try:
                async with self._coordination.subscribe(name, buffer=BUFFER_SIZE) as signals:
                    subscribed.set()
                    async for signal in signals:
                        if name == REVOCATION_TOPIC:  # waits for nobody
                            self._doubt(signal.event["team"])
                            continue
                        async with self._one:
                            await self._take(name.removeprefix("team:"), signal.event)
                        # What piled up comes without a pause: who reads gets time to, or would be taken for too slow.
                        await asyncio.sleep(0)
                    return
            except StorageError as error:
                log.warning("feed_interrupted", reason=str(error))
            except Exception:
                log.exception("feed_failed")
            await asyncio.sleep(0.2)

    def _doubt(self, team: str | None) -> None:
        for listeners in (
            self._listeners.values() if team is None else [self._listeners.get(team, set())]
        ):
            for listener in listeners:
                listener.recheck_due.set()

    async def _take(self, team: str, event: dict[str, Any]) -> None:
        if "text" not in event and team not in self._listeners:
            if "said" in event:  # somebody new may take part from now on
                self._people.pop(event["chat"], None)
        elif "said" in event:
            await self._said(team, event)
        elif "token" in event:
            await self._token(team, event)
        elif "text" in event:
            if page := self._pages.get(event["message"]):
                await self._write(page, event["attempt"], 0, event["text"])
        elif "ended" in event:
            await self._ended(team, event)
        elif "title" in event:
            await self._emit(team, TitleChanged(event["chat"], event["title"]))

    async def _said(self, team: str, event: dict[str, Any]) -> None:
        chat, author = event["chat"], event["by"]
        people = await self._people_of(chat)
        if author not in people:
            people.add(author)
            self._bring_in(User(team, author), chat)
        if await self._audience(team, chat):
            self._pages.setdefault(
                event["message"], _Page(chat, team, event["message"], touched=_now())
            )
        await self._emit(team, MessageAdded(chat, event["said"], event["message"]))

    def _bring_in(self, user: User, chat: str) -> None:
        """Who takes part from now on has missed the beginning of what is being written."""
        listeners = [one for one in self._listeners.get(user.team, ()) if one.user == user]
        for page in self._pages.values():
            if page.chat == chat and page.length:
                for listener in listeners:
                    listener.put(TextAppended(chat, page.message, page.text()))

    async def _token(self, team: str, event: dict[str, Any]) -> None:
        message, attempt = event["message"], event["attempt"]
        page = self._pages.get(message)
        if page is None:
            if self._over.get(message, -1) >= attempt or not await self._audience(
                team, event["chat"]
            ):
                return
            page = self._pages[message] = _Page(event["chat"], team, message)
        await self._write(page, attempt, event["at"], event["token"])

    async def _write(self, page: _Page, attempt: int, at: int, text: str) -> None:
        if attempt < page.attempt:
            return
        if attempt > page.attempt:
            if page.length or attempt > 1:
                await self._emit(page.team, AnswerRestarted(page.chat, page.message))
            page.void()
            page.attempt = attempt
        if at > page.length:
            await self._ask(page)
            return
        page.touched = _now()
        if new := text[page.length - at :]:
            page.add(new)
            await self._emit(page.team, TextAppended(page.chat, page.message, new))

    async def _ask(self, page: _Page) -> None:
        """Asks whoever writes this answer for all of it; the reply comes to our own topic."""
        if _now() - page.asked > CHECK_INTERVAL / 2:
            page.asked = _now()
            await self._coordination.publish(
                TEXT_REQUEST_TOPIC, {"answer": page.message, "to": self._own}
            )

    async def _ended(self, team: str, event: dict[str, Any]) -> None:
        if event["message"] not in self._pages and not await self._audience(team, event["chat"]):
            return
        for answer in await self._answers.by_ids([event["message"]]):
            await self._end(team, answer)

    async def _end(self, team: str, answer: Answer) -> None:
        """Tells what nobody told of the text, and then the end."""
        if not answer.status.ended or self._over.get(answer.id, -1) >= answer.attempt:
            return
        page = self._pages.pop(answer.id, None) or _Page(answer.chat_id, team, answer.id)
        again = (
            page.attempt < answer.attempt and answer.id in self._over
        )  # its earlier end has been told
        if again or not answer.text.startswith(page.text()):
            await self._emit(team, AnswerRestarted(page.chat, page.message))
            page.void()
        if rest := answer.text[page.length :]:
            await self._emit(team, TextAppended(page.chat, page.message, rest))
        self._over[answer.id] = answer.attempt
        self._over.move_to_end(answer.id)
        if len(self._over) > CACHE_SIZE:
            self._over.popitem(last=False)
        await self._emit(team, AnswerEnded(page.chat, page.message, answer.status, answer.error))

    async def _emit(self, team: str, change: FeedEvent) -> None:
        for listener in await self._audience(team, change.chat):
            listener.put(change)

    # -- what nobody told --------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                async with self._one:
                    await self._look_at_quiet_pages()
            except StorageError as error:
                log.warning("feed_interrupted", reason=str(error))
            except Exception:
                log.exception("feed_failed")

    async def _look_at_quiet_pages(self) -> None:
        quiet = {
            id: page for id, page in self._pages.items() if _now() - page.touched > CHECK_INTERVAL
        }
        if not quiet:
            return
        for answer in await self._answers.by_ids(list(quiet)):
            page = quiet[answer.id]
            page.touched = _now()
            if answer.status.ended:
                await self._end(page.team, answer)
            elif answer.status is Status.RUNNING and not page.length:
                await self._ask(page)


def _now() -> float:
    return asyncio.get_running_loop().time()
