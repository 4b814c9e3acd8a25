"""Delivers every change in a user's chats, in order, from any process and any surface, to subscribers.

Events may be lost. So the text of each answer with subscribers is kept here while it is written: each piece of text
carries its position, a gap is filled by asking the writer, and the database provides the rest.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bot.answers.events import ACCESS_TOPIC, TEXT_REQUEST_TOPIC, team_topic
from bot.chats.feed_events import (
    MAX_UNREAD_EVENTS,
    AnswerEnded,
    AnswerRestarted,
    ApprovalUpdated,
    FeedEvent,
    FeedSubscription,
    MessageAdded,
    StepUpdated,
    TextAppended,
    TitleChanged,
)
from bot.domain import Answer, Chat, Status, User
from bot.runtime.tasks import Tasks
from storage.answers import Answers
from storage.chats import Chats
from storage.coordination import Coordination

CHECK_INTERVAL = 2.0
"""Seconds between two checks in the database for changes whose events were lost."""
RESUBSCRIBE_DELAY = 0.2
"""Seconds before a subscription that ended is opened again."""
BUFFER_SIZE = 20_000
"""Events of one workspace that may be queued here."""
CACHE_SIZE = 20_000
"""How many chats' participants, and how many ended answers, are remembered."""


@dataclass(slots=True)
class _TrackedAnswer:
    """An answer with subscribers, as known to this process. Times are the event loop's."""

    chat: str
    team: str
    message: str
    attempt: int = 0
    parts: list[str] = field(default_factory=list)
    length: int = 0
    """Characters in `parts`."""
    changed_at: float = 0.0
    asked_at: float = 0.0
    """When the writer was last asked for the text so far."""

    def text(self) -> str:
        """One string for everyone who catches up; it replaces the pieces."""
        self.parts = ["".join(self.parts)]
        return self.parts[0]

    def append(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def clear(self) -> None:
        self.parts = []
        self.length = 0


class Feed:
    """Reads each event once for all subscriptions of this process."""

    def __init__(
        self,
        coordination: Coordination,
        chats: Chats,
        answers: Answers,
        on_delivery: Callable[[User, str], None] = lambda user, chat: None,
    ) -> None:
        """`on_delivery`: called with the user and the chat when a message is delivered. Returns immediately."""
        self._on_delivery = on_delivery
        self._coordination = coordination
        self._chats = chats
        self._answers = answers
        self._reply_topic = f"{TEXT_REQUEST_TOPIC}:{secrets.token_hex(8)}"
        """Where writers send the text so far that this process asked for."""
        self._tasks = Tasks(exit_timeout=0.0)
        self._subscriptions: dict[str, set[FeedSubscription]] = {}
        """By team."""
        self._received_teams: dict[str, asyncio.Event] = {}
        """Teams whose events are received; the event is set once they are."""
        self._tracked: dict[str, _TrackedAnswer] = {}
        self._ended_attempts: OrderedDict[str, int] = OrderedDict()
        """By answer, the last attempt whose end was delivered."""
        self._participants: OrderedDict[str, set[str]] = OrderedDict()
        """User ids by chat."""
        self._access_changes = 0
        """How often somebody's access has changed."""
        self._closed = False
        self._lock = asyncio.Lock()
        """Held for each event and each new subscription, which keeps all changes in order."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscribing is possible while this is open; leaving it ends all subscriptions."""
        await self._tasks.__aenter__()
        self._receive_in_background(self._reply_topic, asyncio.Event())
        self._tasks.repeat(self._receive_access_changes, RESUBSCRIBE_DELAY, "access changes")
        self._tasks.repeat(
            self._check_quiet_answers, CHECK_INTERVAL, "feed", initial_delay=CHECK_INTERVAL
        )
        try:
            yield
        finally:
            self._closed = True
            async with (
                self._lock
            ):  # a task that is cancelled in the middle of a query leaves its connection behind
                await self._tasks.__aexit__()
            for subscriptions in self._subscriptions.values():
                for subscription in subscriptions:
                    subscription.end()

    @asynccontextmanager
    async def subscribe(
        self, user: User, max_unread: int = MAX_UNREAD_EVENTS
    ) -> AsyncIterator[FeedSubscription]:
        """All changes from now on, preceded by the text so far of each answer that is being written."""
        subscription = FeedSubscription(user, max_unread)
        if self._closed:
            subscription.end()
            yield subscription
            return
        subscriptions = self._subscriptions.setdefault(user.team, set())
        subscriptions.add(subscription)
        try:
            await self._receive_team(user.team)
            async with self._lock:
                await self._catch_up(subscription)
            yield subscription
        finally:
            subscriptions.discard(subscription)
            if not subscriptions:  # the team's events are still received, and ignored: another subscriber may come soon
                self._subscriptions.pop(user.team, None)
                self._tracked = {
                    id: answer for id, answer in self._tracked.items() if answer.team != user.team
                }

    async def track(self, chat: Chat, answer: Answer) -> None:
        """Ensures that the end of this answer is delivered, even if its writer's events are lost."""
        async with self._lock:
            if self._is_new(answer):
                self._track(answer, chat.team)

    # -- who follows a chat ------------------------------------------------------------------------------------

    async def _audience(self, team: str, chat: str) -> list[FeedSubscription]:
        subscriptions = self._subscriptions.get(team)
        if not subscriptions:
            return []
        participants = await self._participants_of(chat)
        return [each for each in subscriptions if each.user.id in participants]

    async def _participants_of(self, chat: str) -> set[str]:
        known = self._participants.get(chat)
        if known is None:
            changes = self._access_changes
            known = {user.id for user in await self._chats.participants(chat)}
            if changes != self._access_changes:  # what was read may be out of date
                return await self._participants_of(chat)
            self._participants[chat] = known
            if len(self._participants) > CACHE_SIZE:
                self._participants.popitem(last=False)
        return known

    async def _catch_up(self, subscription: FeedSubscription) -> None:
        """Delivers the text so far of all answers that are being written in the user's chats."""
        user = subscription.user
        for answer in await self._answers.open_for(user):
            if self._is_new(answer):
                await self._request_text(self._track(answer, user.team))
        for tracked in self._tracked.values():
            if (
                tracked.team == user.team
                and tracked.length
                and user.id in await self._participants_of(tracked.chat)
            ):
                subscription.put(TextAppended(tracked.chat, tracked.message, tracked.text()))

    def _is_new(self, answer: Answer) -> bool:
        """Whether the answer is not tracked yet, and the end of its attempt was not delivered."""
        return answer.id not in self._tracked and not self._has_ended(answer.id, answer.attempt)

    def _has_ended(self, answer_id: str, attempt: int) -> bool:
        return self._ended_attempts.get(answer_id, -1) >= attempt

    def _track(self, answer: Answer, team: str) -> _TrackedAnswer:
        tracked = _TrackedAnswer(
            answer.chat_id, team, answer.id, attempt=answer.attempt, changed_at=_now()
        )
        self._tracked[answer.id] = tracked
        return tracked

    # -- receiving events ----------------------------------------------------------------------------------------

    async def _receive_team(self, team: str) -> None:
        """Returns once the team's events are being received."""
        if team not in self._received_teams:
            self._received_teams[team] = asyncio.Event()
            self._receive_in_background(team_topic(team), self._received_teams[team])
        await self._received_teams[team].wait()

    def _receive_in_background(self, topic: str, subscribed: asyncio.Event) -> None:
        work = partial(self._receive, topic, subscribed)
        self._tasks.repeat(work, RESUBSCRIBE_DELAY, f"feed of {topic}")

    async def _receive(self, topic: str, subscribed: asyncio.Event) -> None:
        async with self._coordination.subscribe(topic, buffer=BUFFER_SIZE) as signals:
            subscribed.set()
            async for signal in signals:
                async with self._lock:
                    await self._handle(topic.removeprefix("team:"), signal.event)
                # Queued events arrive without a pause: let readers run, or they would count as too slow.
                await asyncio.sleep(0)

    async def _receive_access_changes(self) -> None:
        """Does not take the lock, so that a revoked token ends at once."""
        async with self._coordination.subscribe(ACCESS_TOPIC, buffer=BUFFER_SIZE) as signals:
            async for signal in signals:
                self._on_access_changed(signal.event["team"], signal.event.get("user"))

    def _on_access_changed(self, team: str | None, user: str | None) -> None:
        """Forgets cached access decisions; the clients of this user, or of everybody, are checked again.

        A user who has returned to a channel may be missing from any cached chat there, so all are forgotten.
        """
        self._access_changes += 1
        self._participants.clear()
        for each in list(self._subscriptions) if team is None else [team]:
            for subscription in self._subscriptions.get(each, ()):
                if user in (None, subscription.user.id):
                    subscription.recheck_due.set()

    async def _handle(self, team: str, event: dict[str, Any]) -> None:
        """Handles one event. An event with `text` arrives on the reply topic; it is the only one without a team."""
        if "text" not in event and team not in self._subscriptions:
            if "said" in event:  # the author may be a participant only from now on
                self._participants.pop(event["chat"], None)
        elif "said" in event:
            await self._handle_message(team, event)
        elif "token" in event:
            await self._handle_text(team, event)
        elif "text" in event:
            if tracked := self._tracked.get(event["message"]):
                await self._update(tracked, event["attempt"], 0, event["text"])
        elif "ended" in event:
            await self._handle_end(team, event)
        elif (update := _as_update(event)) is not None:
            await self._emit(team, update)

    async def _handle_message(self, team: str, event: dict[str, Any]) -> None:
        chat, author = event["chat"], event["by"]
        participants = await self._participants_of(chat)
        if author not in participants:
            participants.add(author)
            self._catch_up_participant(User(team, author), chat)
        audience = await self._audience(team, chat)
        for user in {subscription.user for subscription in audience}:
            self._on_delivery(user, chat)
        if audience:
            tracked = _TrackedAnswer(chat, team, event["message"], changed_at=_now())
            self._tracked.setdefault(event["message"], tracked)
        await self._emit(team, MessageAdded(chat, event["said"], event["message"]))

    def _catch_up_participant(self, user: User, chat: str) -> None:
        """Delivers to a new participant the text so far of the answer that is being written in the chat."""
        subscriptions = [s for s in self._subscriptions.get(user.team, ()) if s.user == user]
        for tracked in self._tracked.values():
            if tracked.chat == chat and tracked.length:
                for subscription in subscriptions:
                    subscription.put(TextAppended(chat, tracked.message, tracked.text()))

    async def _handle_text(self, team: str, event: dict[str, Any]) -> None:
        chat, message, attempt = event["chat"], event["message"], event["attempt"]
        tracked = self._tracked.get(message)
        if tracked is None:
            if self._has_ended(message, attempt) or not await self._audience(team, chat):
                return
            tracked = self._tracked[message] = _TrackedAnswer(chat, team, message)
        await self._update(tracked, attempt, event["at"], event["token"])

    async def _update(self, tracked: _TrackedAnswer, attempt: int, at: int, text: str) -> None:
        """Adds the unknown part of `text`, which begins at character `at` of the attempt."""
        if attempt < tracked.attempt:
            return
        if attempt > tracked.attempt:
            if tracked.length or attempt > 1:
                await self._emit(tracked.team, AnswerRestarted(tracked.chat, tracked.message))
            tracked.clear()
            tracked.attempt = attempt
        if at > tracked.length:
            await self._request_text(tracked)
            return
        tracked.changed_at = _now()
        if new := text[tracked.length - at :]:
            tracked.append(new)
            await self._emit(tracked.team, TextAppended(tracked.chat, tracked.message, new))

    async def _request_text(self, tracked: _TrackedAnswer) -> None:
        """Asks the writer of the answer for its whole text, which arrives on the reply topic."""
        if _now() - tracked.asked_at > CHECK_INTERVAL / 2:
            tracked.asked_at = _now()
            request = {"answer": tracked.message, "to": self._reply_topic}
            await self._coordination.publish(TEXT_REQUEST_TOPIC, request)

    async def _handle_end(self, team: str, event: dict[str, Any]) -> None:
        chat, message = event["chat"], event["message"]
        if message in self._tracked or await self._audience(team, chat):
            for answer in await self._answers.by_ids([message]):
                await self._end(team, answer)

    async def _end(self, team: str, answer: Answer) -> None:
        """Delivers any text whose events were lost, and then the end."""
        if not answer.status.ended or self._has_ended(answer.id, answer.attempt):
            return
        tracked = self._tracked.pop(answer.id, None) or _TrackedAnswer(
            answer.chat_id, team, answer.id
        )
        earlier_end_delivered = (
            tracked.attempt < answer.attempt and answer.id in self._ended_attempts
        )
        if earlier_end_delivered or not answer.text.startswith(tracked.text()):
            await self._emit(team, AnswerRestarted(tracked.chat, tracked.message))
            tracked.clear()
        if rest := answer.text[tracked.length :]:
            await self._emit(team, TextAppended(tracked.chat, tracked.message, rest))
        self._ended_attempts[answer.id] = answer.attempt
        self._ended_attempts.move_to_end(answer.id)
        if len(self._ended_attempts) > CACHE_SIZE:
            self._ended_attempts.popitem(last=False)
        end = AnswerEnded(tracked.chat, tracked.message, answer.status, answer.error)
        await self._emit(team, end)

    async def _emit(self, team: str, change: FeedEvent) -> None:
        for subscription in await self._audience(team, change.chat):
            subscription.put(change)

    # -- lost events -------------------------------------------------------------------------------------------

    async def _check_quiet_answers(self) -> None:
        """Checks the database for tracked answers that have had no event for a while."""
        async with self._lock:
            quiet = {
                id: tracked
                for id, tracked in self._tracked.items()
                if _now() - tracked.changed_at > CHECK_INTERVAL
            }
            if not quiet:
                return
            for answer in await self._answers.by_ids(list(quiet)):
                tracked = quiet[answer.id]
                tracked.changed_at = _now()
                if answer.status.ended:
                    await self._end(tracked.team, answer)
                elif answer.status is Status.RUNNING and not tracked.length:
                    await self._request_text(tracked)


def _as_update(event: Mapping[str, Any]) -> StepUpdated | ApprovalUpdated | TitleChanged | None:
    """The event in the form that is delivered; None for an event of another version."""
    if "step" in event:
        return StepUpdated(event["chat"], event["message"], event["step"])
    if "approval" in event:
        return ApprovalUpdated(event["chat"], event["message"], event["approval"])
    return TitleChanged(event["chat"], event["title"]) if "title" in event else None


def _now() -> float:
    return asyncio.get_running_loop().time()
