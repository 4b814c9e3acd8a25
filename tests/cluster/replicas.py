"""Three replicas of `bobbin run` on PostgreSQL and Redis, and people who use them in many threads at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bot.sandbox.errors import NotAcknowledged, SlackRefusal
from bot.sandbox.limits import Limits
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text, text_of, words
from tests.activity import is_computing
from tests.cluster.processes import Cluster
from tests.fork_server import ForkServer
from tests.handlers.world import Row, shown

RATE_SCALE = 10.0
"""By how much Slack's rate limits are raised, here and in the replicas."""
SCALED_LIMITS = Limits(rate_scale=RATE_SCALE, ack_timeout=2.0, retry_delays=(0.0, *[1.0] * 60))
PEOPLE = ("alice", "bob", "carol", "dan")
RATE = 40.0
WORDS = 40
WAITING = "hourglass_flowing_sand"


def answer_to(question: str) -> str:
    """The model's answer to a question; every word names the question."""
    number = question.rpartition(" ")[2]
    return " ".join(f"q{number}n{n:03}" for n in range(WORDS))


def answering(asked: Any) -> ModelScript:
    last = text_of(asked.messages[-1])
    return (
        script_from_text("A short title", 100)
        if asks_for_title(asked.messages)
        else ModelScript(words(answer_to(last)), RATE)
    )


class Replicas(Cluster):
    """A world whose bot is several equal processes."""

    def __init__(
        self,
        folder: Path,
        fork_server: ForkServer,
        postgresql: str,
        redis: str,
        *,
        count: int = 3,
        limits: Limits = SCALED_LIMITS,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        environment = {
            **(environment or {}),
            "DATABASE_URL": postgresql,
            "REDIS_URL": redis,
            "TEST_RATE_SCALE": str(RATE_SCALE),
        }
        super().__init__(
            folder, fork_server, processes=count, limits=limits, environment=environment, **options
        )
        self._postgresql = postgresql
        self._connection: psycopg.Connection[Row] | None = None
        self.models.answer_with("*", answering)
        # Two replicas may post a menu for one mention; each of them, and a press, deletes the second.
        self.forgive("message_not_found", method="chat.delete")

    async def __aexit__(self, *error: Any) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            self._forget_connection()

    async def start_bot(self, **settings: Any) -> None:
        """Starts all replicas at the same moment, on a database that may be empty."""
        self.allow_redelivery()
        await asyncio.gather(*map(self.launch, range(len(self.processes))))
        await self.connected(len(self.processes))

    def lines(self) -> list[Row]:
        """The log lines, without those of Slack's own client about a Slack that is down."""
        return [line for line in super().lines() if line["logger"] != "slack_sdk.socket_mode"]

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query; none while the database is down."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._postgresql, autocommit=True, row_factory=dict_row
                )
            return list(self._connection.execute(query.replace("?", "%s").encode(), values or None))
        except psycopg.OperationalError:
            self._forget_connection()
            return []

    def waits_for_database(self) -> bool:
        """Whether PostgreSQL executes a statement of a process, or waits for a processor to begin with it."""
        query = (
            "SELECT pid, state FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL"
        )
        return any(row["state"] != "idle" or is_computing(row["pid"]) for row in self.rows(query))

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rooms(self, count: int) -> list[str]:
        """Creates channels with all people in them; returns their ids."""
        people = [self.slack.workspace.user(name).id for name in PEOPLE] + [self.slack.bot_user.id]
        return [self.slack.workspace.add_channel(f"room{n}", people).id for n in range(count)]


@dataclass
class UserChat:
    """One person's chat."""

    world: Replicas
    who: str
    channel: str
    number: int
    thread: str = ""
    questions: list[str] = field(default_factory=list)

    def _next(self) -> str:
        self.questions.append(f"What about number {self.number}{len(self.questions)}")
        return self.questions[-1]

    async def begin(self) -> None:
        """Asks, and presses the menu's button until the chat has started."""
        mention = f"<@{self.world.slack.bot_user.id}> {self._next()}"
        self.thread = await self.world.slack.conversations.say(self.who, self.channel, mention)
        while not self.world.rows("SELECT 1 FROM chats WHERE thread = ?", self.thread):
            if model_menus := self.world.menus(self.thread, self.channel):
                with contextlib.suppress(NotAcknowledged, LookupError, SlackRefusal):
                    await self.world.slack.interactions.press(
                        self.who, model_menus[0], "start_chat"
                    )
            await asyncio.sleep(0.1)

    async def until_stored(self) -> None:
        """Waits until the chat holds every question."""
        await self.world.until(lambda: self._stored() == len(self.questions), "the last question")

    def _stored(self) -> int:
        return sum(m["role"] == "user" for m in self.world.messages(self.thread))

    async def go_on(self) -> None:
        await self.world.slack.conversations.say(self.who, self.channel, self._next(), self.thread)

    def check(self, *, in_order: bool = True) -> None:
        """Asserts that every message is answered once, completely and in turn, in the database and in Slack.

        `in_order`: each was sent when the one before was stored, so they were stored in the order of sending.
        """
        world, stored = self.world, self.world.messages(self.thread)
        asked = [m["text"] for m in stored if m["role"] == "user"]
        assert (asked if in_order else sorted(asked)) == self.questions
        assert [m["text"] for m in stored if m["role"] == "assistant"] == [
            answer_to(q) for q in asked
        ]
        visible = [shown(message) for message in world.answers(self.thread, self.channel)]
        assert visible == [answer_to(q) for q in asked], [_summary(text) for text in visible]
        self.check_that_nothing_waits()

    def check_that_nothing_waits(self) -> None:
        """The menu has become the header, and no question is marked as waiting."""
        world, place = self.world, (self.thread, self.channel)
        assert (len(world.headers(*place)), len(world.menus(*place))) == (1, 0)
        messages = world.slack.workspace.thread(self.channel, self.thread)
        assert not [message.ts for message in messages if WAITING in message.reactions]


def _summary(text: str) -> str:
    """A short description of a wrong text."""
    said = text.split()
    return f"{len(said)} words, {' '.join(said[:2])} … {' '.join(said[-2:])}"


def user_chats(world: Replicas, count: int, rooms: int) -> list[UserChat]:
    """Chats to begin, `count` of them, over `rooms` channels."""
    channels = world.rooms(rooms)
    return [
        UserChat(world, PEOPLE[n % len(PEOPLE)], channels[n % rooms], 100 + n) for n in range(count)
    ]


async def until_settled(world: Replicas, begun: list[UserChat], *, in_order: bool = True) -> None:
    """Waits until every question is answered and nothing changes any more; then checks all chats."""
    count = sum(len(user_chat.questions) for user_chat in begun)
    await world.until(lambda: len(world.rows("SELECT 1 FROM answers WHERE state = 'ended'")) == count,
                      f"{count} answers")  # fmt: skip
    await world.idle()
    # The second menu of a process that was killed after posting it disappears a little later.
    await world.until(
        lambda: not any(world.menus(user_chat.thread, user_chat.channel) for user_chat in begun),
        "no menu is left",
    )
    for user_chat in begun:
        user_chat.check(in_order=in_order)
