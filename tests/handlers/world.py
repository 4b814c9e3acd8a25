"""The whole product in one process: a strict Slack, a model server, a database file, and the bot between them.

The bot is the real one, built by its composition root; it reaches Slack by HTTP and WebSocket and the models by HTTP.
Every world is strict when it ends: Slack may have refused only what the test foresaw (`forgive`), each event was
acknowledged at the first attempt and in time, nothing was logged as an error, and no log line holds a text or a token.
"""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import SecretStr
from starlette.routing import Mount

from bot.app import Bot, build
from bot.config.settings import Settings
from bot.manifest import bot_scopes, manifest, optional_scopes
from bot.sandbox.journal import CallRecord
from bot.sandbox.limits import Limits
from bot.sandbox.models.server import ModelServer, create_models_app
from bot.sandbox.server import Sandbox
from bot.sandbox.state.records import Message
from bot.sandbox.types import Clock
from bot.timing import Timing
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.activity import connections_in_use, is_computing
from tests.deadlines import DEADLINE_SCALE, WAIT_TIMEOUT, patient_timing
from tests.event_loop import load_tolerant_clock
from tests.handlers.database_reader import Reader as Reader
from tests.handlers.database_reader import Row as Row
from tests.handlers.model_answers import MODEL as MODEL
from tests.handlers.model_answers import ModelAnswers
from tests.handlers.strictness import KEY as KEY
from tests.handlers.strictness import Strictness
from tests.slowed import is_holding_back

Found = TypeVar("Found")
DATABASE = "bobbin.sqlite3"
QUIET = 0.15
"""Seconds without any activity after which nothing more is expected to happen by itself."""
_NOT_ANSWERS = "bobbin."


class World(ModelAnswers, Strictness):
    """A workspace with the bot in it. Use as an async context manager."""

    def __init__(
        self,
        folder: Path,
        log: io.StringIO,
        *,
        limits: Limits | None = None,
        deadline_scale: float = DEADLINE_SCALE,
        models: ModelServer | None = None,
        timing: Timing | None = None,
        clock: Clock | None = None,
        rates: Mapping[str, Rate] = RATES,
        without_scopes: frozenset[str] = frozenset(),
        **settings: Any,
    ) -> None:
        self.database = folder / DATABASE
        ModelAnswers.__init__(self, models)
        Strictness.__init__(self, log)
        self.timing = timing or patient_timing()
        self.rates = rates
        self.slack = Sandbox(
            limits=(limits or Limits.off()).with_deadlines_scaled(deadline_scale),
            clock=clock or _clock_for(limits),
            **installation(without_scopes),
            mounts=[Mount("/models/v1", create_models_app(self.models))],
        )
        self.bot: Bot | None = None
        self.further_bots: list[Bot] = []
        """Other replicas in this process."""
        self._reader = Reader(self.database)
        self._stack = AsyncExitStack()
        self._more = settings

    async def __aenter__(self) -> Self:
        await self.slack.start()
        try:
            await self.start_bot()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.bot is not None:
                await self.until(
                    self._is_settled, "the after-work is done and every event is acknowledged"
                )
        finally:
            await self._close()
        if kind is None:
            self.judge(self.said_by_models())

    async def _close(self) -> None:
        async with AsyncExitStack() as closing:  # all of it, even if a part fails
            closing.callback(self._reader.close)
            closing.push_async_callback(self.slack.stop)
            closing.push_async_callback(self.stop_bot)

    def _is_settled(self) -> bool:
        """In this order: what is done last is followed by events of the bot's own calls."""
        is_done = self._unfinished or not self.chores()
        return is_done and self.slack.dispatcher.pending() == 0

    # -- the bot ---------------------------------------------------------------------------------------------------

    def settings(self) -> Settings:
        values: dict[str, Any] = {
            "slack_bot_token": SecretStr(self.slack.bot_token),
            "slack_app_token": SecretStr(self.slack.app_token),
            "slack_api_url": self.slack.api_url,
            "openai_base_url": f"{self.slack.url}/models/v1",
            "openai_api_key": SecretStr(KEY),
            "database_url": SecretStr(f"sqlite:///{self.database}"),
            "port": 0,
        }
        more = dict(self._more)
        tools = more.pop("tools", None)
        settings = defaults().changed(**(values | more))
        return settings if tools is None else settings.with_tools(tools)

    async def start_bot(self, **settings: Any) -> None:
        self._more |= settings
        bot = build(self.settings(), timing=self.timing, rates=self.rates)
        self.bot = await self._stack.enter_async_context(bot)
        assert await self.bot.transport.until_connected()

    async def stop_bot(self) -> None:
        """Ends the bot. Events of its own last calls are not sent: while it ends, nothing would acknowledge them."""
        self.bot = None
        event_types = self.slack.subscriptions.event_types
        self.slack.subscriptions.event_types = frozenset()
        try:
            await self._stack.aclose()
        finally:
            self.slack.subscriptions.event_types = event_types
        self._reader.close()

    async def restart(self, **settings: Any) -> None:
        await self.stop_bot()
        await self.start_bot(**settings)

    # -- what people do --------------------------------------------------------------------------------------------

    async def ask(
        self, text: str, user: str = "alice", channel: str = "general", thread: str | None = None
    ) -> str:
        """Mention Bobbin; returns the ts of the mention, once the menu is in its thread."""
        ts = await self.slack.conversations.say(
            user, channel, f"<@{self.slack.bot_user.id}> {text}".strip(), thread
        )
        await self.until(lambda: self.menus(thread or ts, channel), "the menu")
        return ts

    async def start(
        self, text: str, user: str = "alice", channel: str = "general", model: str = MODEL
    ) -> str:
        """Mention Bobbin and choose a model; returns the thread."""
        thread = await self.ask(text, user, channel)
        await self.choose(thread, user, model, channel)
        return thread

    async def choose(
        self, thread: str, user: str = "alice", model: str = MODEL, channel: str = "general"
    ) -> None:
        """Choose from the newest menu in the thread."""
        await self.slack.interactions.choose(
            user, self.menus(thread, channel)[-1], "model_menu", f"openai:{model}"
        )

    async def answered(self, thread: str, count: int = 1, channel: str = "general") -> list[str]:
        """Waits until this many answers of the thread's chat have ended; returns what each of its messages shows."""
        await self.until(lambda: len(self.ended(thread)) >= count, f"{count} ended answers")
        return [shown(message) for message in self.answers(thread, channel)]

    # -- what Slack shows -------------------------------------------------------------------------------------------

    def replies(self, thread: str, channel: str = "general") -> list[Message]:
        """The bot's own messages in the thread."""
        return [
            m
            for m in self.slack.workspace.thread(channel, thread)
            if m.user == self.slack.bot_user.id
        ]

    def menus(self, thread: str, channel: str = "general") -> list[Message]:
        """The messages of the thread that hold a menu of models to start with."""
        return [m for m in self.replies(thread, channel) if elements(m, "model_menu")]

    def header(self, thread: str, channel: str = "general") -> Message:
        """The chat's header; LookupError until it exists."""
        return next(iter(self.headers(thread, channel)))

    def headers(self, thread: str, channel: str = "general") -> list[Message]:
        return [
            m
            for m in self.replies(thread, channel)
            if any(
                str(block.get("block_id", "")).startswith("bobbin.header.") for block in m.blocks
            )
        ]

    def stop_buttons(self, thread: str, channel: str = "general") -> list[Message]:
        """The headers that have a Stop button."""
        return [m for m in self.headers(thread, channel) if elements(m, "stop_answer")]

    def answers(self, thread: str, channel: str = "general") -> list[Message]:
        """The messages that show answers, oldest first."""
        return [m for m in self.replies(thread, channel) if not is_not_answer(m)]

    def whispers(self, user: str, channel: str = "general") -> list[str]:
        return [each.text for each in self.slack.workspace.ephemerals(user, channel)]

    # -- what the database holds --------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[Row]:
        return self._reader.rows(query, *values)

    async def execute(self, statement: str, *values: Any) -> None:
        """Change the database behind the bot's back; in a thread, since the bot's own writing may have to end first."""

        def change() -> None:
            connection = sqlite3.connect(self.database, timeout=WAIT_TIMEOUT)
            with connection:
                connection.execute(statement, values)
            connection.close()

        await asyncio.to_thread(change)

    def chats(self) -> list[Row]:
        return self.rows("SELECT * FROM chats ORDER BY id")

    def messages(self, thread: str) -> list[Row]:
        query = "SELECT m.* FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.thread = ? ORDER BY m.number"
        return self.rows(query, thread)

    def ended(self, thread: str) -> list[Row]:
        """The answers of the thread's chat that have ended."""
        query = (
            "SELECT a.*, m.text, m.status, m.error FROM answers a JOIN messages m ON m.id = a.message_id "
            "JOIN chats c ON c.id = a.chat_id WHERE c.thread = ? AND a.state = 'ended' ORDER BY a.number"
        )
        return self.rows(query, thread)

    def chores(self) -> list[str]:
        """What is left to do for answers besides their text."""
        return [row["kind"] for row in self.rows("SELECT kind FROM chores ORDER BY message_id")]

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def until(
        self, predicate: Callable[[], Found], what: str, timeout: float = WAIT_TIMEOUT
    ) -> Found:
        """Wait until `predicate()` is true; a LookupError or StopIteration means "not yet".

        The longer it takes, the less often the predicate is evaluated, because evaluating it takes as much processor
        time as what is waited for.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            try:
                if found := predicate():
                    return found
            except (LookupError, StopIteration):
                pass
            waited = clock() - began
            if waited > timeout:
                raise AssertionError(f"not within {timeout} s: {what}\n{self.log.getvalue()}")
            await asyncio.sleep(min(0.01 + waited / 50, 0.03))

    async def idle(self) -> None:
        """Wait until no answer or after-work is unfinished and the bot has done nothing for `QUIET` seconds.

        It is not idle while it waits for a statement: a database may take longer than that, and what the bot does with
        the result comes afterwards.
        """
        clock, counts = asyncio.get_running_loop().time, self.slack.journal.counts
        active_at, calls = clock(), counts.total()
        while clock() < active_at + QUIET or self._has_unfinished_answers():
            await asyncio.sleep(0.01)
            is_over = clock() >= active_at + QUIET
            if (
                calls != counts.total()
                or self.slack.dispatcher.pending()
                or self.is_computing()
                or (is_over and self.waits_for_database())
            ):
                active_at, calls = clock(), counts.total()

    def _has_unfinished_answers(self) -> bool:
        return bool(self.rows("SELECT 1 FROM answers WHERE state != 'ended'") or self.chores())

    def is_computing(self) -> bool:
        """Whether the bot computes or waits for a processor, other than in this thread."""
        return is_computing(os.getpid()) or is_holding_back()

    def waits_for_database(self) -> bool:
        """Whether a bot uses a connection."""
        bots = [self.bot, *self.further_bots]
        return any(connections_in_use(bot.database) for bot in bots if bot is not None)


def _clock_for(limits: Limits | None) -> Clock:
    """With rate limits, Slack's clock must go as fast as the one by which the bot spends them."""
    return time.time if limits is not None and limits.rates else load_tolerant_clock()


@cache
def defaults() -> Settings:
    """The defaults, which every test starts from."""
    return Settings.load(None)


@cache
def installation(without_scopes: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the app is installed with."""
    app = manifest()
    return {
        "scopes": (bot_scopes() | optional_scopes()) - without_scopes,
        "events": tuple(app["settings"]["event_subscriptions"]["bot_events"]),
        "commands": tuple(app["features"]["slash_commands"]),
    }


def elements(message: Message, action_id: str) -> list[Mapping[str, Any]]:
    """The elements of a message that have this action id."""
    found = (e for b in message.blocks for e in (*b.get("elements", ()), b.get("accessory", {})))
    return [e for e in found if e.get("action_id") == action_id]


def options_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The options that a menu shows, its groups flattened."""
    return [option for group in answer["option_groups"] for option in group["options"]]


def is_not_answer(message: Message) -> bool:
    """A menu, a header or a notice, not an answer."""
    return any(str(block.get("block_id", "")).startswith(_NOT_ANSWERS) for block in message.blocks)


def shown(message: Message) -> str:
    """The text of the answer that a message shows, without its footer."""
    if message.latest.format == "markdown" and message.text:
        return message.text
    return "\n".join(b["text"] for b in message.blocks if b["type"] == "markdown")


def below(message: Message) -> str:
    """The footer: the line of facts, or the failure."""
    texts: list[str] = []
    for block in message.blocks:
        if block["type"] == "section":
            texts.append(block["text"]["text"])
        elif block["type"] == "context":
            texts += [e["text"] for e in block["elements"]]
    return "\n".join(texts)


def methods(calls: Sequence[CallRecord]) -> list[str]:
    return [call.method for call in calls]
