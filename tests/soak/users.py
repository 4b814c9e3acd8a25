"""Simulated users and an API client that use every feature at random and remember what they asked."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.sandbox.errors import NotAcknowledged, SlackRefusal
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, script_from_text, text_of, words
from tests.cluster.processes import Cluster
from tests.handlers.world import elements

PEOPLE = ("alice", "bob", "carol", "dan")
START_TIMEOUT = 240.0
"""Seconds within which a chat must have started, whatever happens meanwhile."""
RUNNING = "SELECT c.thread FROM answers a JOIN chats c ON c.id = a.chat_id WHERE a.state = 'running' AND c.thread > ''"
FAULT_SHARE = 0.15
"""Share of requests to which the model responds with a fault."""


def answer_to(question: str) -> str:
    """The model's answer to a question; every word names the question."""
    number = question.rpartition(" ")[2]
    return " ".join(
        f"q{number}n{n:03}" for n in range(random.Random(number).choice((5, 20, 60, 150)))
    )


def answering(asked: Any) -> ModelScript:
    """Mostly the answer; sometimes a refusal, a cut connection, an empty answer, or silence."""
    if asks_for_title(asked.messages):
        return script_from_text("A short title", 100)
    pieces = words(answer_to(text_of(asked.messages[-1])))
    if random.random() >= FAULT_SHARE:
        return ModelScript(pieces, rate=40.0)
    faults = (
        Fault("http", status=500),
        Fault("http", status=429, headers={"Retry-After": "1"}),
        Fault("http", status=400),
        Fault("break", after=len(pieces) // 2),
        Fault("error", after=len(pieces) // 2),
        Fault("end"),
        Fault("hang", after=len(pieces) // 3),
    )
    return ModelScript(pieces, rate=40.0, fault=random.choice(faults))


@dataclass(frozen=True)
class Question:
    """A question, to be reconciled later."""

    text: str
    thread: str
    channel: str
    by: str
    refusal: str | None = None
    """The error that an API client got instead of an answer."""


@dataclass
class SimulatedUsers:
    """Ask about `per_minute` questions a minute, and remember them in `asked`."""

    world: Cluster
    open_api: Callable[[], httpx.AsyncClient]
    """Opens a client of the API of the process that keeps running, with alice's token."""
    channels: list[str]
    per_minute: float
    asked: list[Question] = field(default_factory=list)
    channel_by_thread: dict[str, str] = field(default_factory=dict)
    """Channels by thread."""
    action_counts: Counter[str] = field(default_factory=Counter)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    number: int = 1000

    async def run(self, seconds: float) -> None:
        """Acts at random for a while, each action in a task of its own, since people do not wait for each other."""
        end = asyncio.get_running_loop().time() + seconds
        actions: dict[Callable[[], Awaitable[None]], float] = {
            self.ask: 0.16,
            self.reply: 0.38,
            self.post: 0.10,
            self.stop: 0.10,
            self.retry: 0.08,
            self.lists: 0.10,
            self.open_home: 0.04,
            self.read: 0.04,
        }
        asking = actions[self.ask] + actions[self.reply] + actions[self.post]
        while (left := end - asyncio.get_running_loop().time()) > 0:
            (action,) = random.choices(list(actions), list(actions.values()))
            self.act_later(action)
            await asyncio.sleep(min(left, random.expovariate(self.per_minute / 60 / asking)))

    def act_later(self, action: Callable[[], Awaitable[None]]) -> None:
        """Acts in the background; an action that Slack or the network refuses is counted and dropped."""

        async def act() -> None:
            try:
                await action()
            except (NotAcknowledged, SlackRefusal, LookupError, httpx.TransportError) as error:
                self.action_counts[
                    f"{getattr(action, '__name__', 'action')}: {type(error).__name__}"
                ] += 1
            else:
                self.action_counts[getattr(action, "__name__", "action")] += 1

        task = asyncio.create_task(act())
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def wait_until_done(self) -> None:
        """Waits until every action has ended."""
        while self.tasks:
            await asyncio.wait(self.tasks)

    def question(self) -> str:
        self.number += 1
        return f"What about number {self.number}"

    async def ask(self) -> None:
        """Mentions Bobbin and presses the menu's button until the chat has started."""
        who, room, text = random.choice(PEOPLE), random.choice(self.channels), self.question()
        thread = await self.world.slack.conversations.say(
            who, room, f"<@{self.world.slack.bot_user.id}> {text}"
        )
        self.asked.append(Question(text, thread, room, who))
        async with asyncio.timeout(START_TIMEOUT):
            while not self._chats_in(thread):
                if model_menus := self.world.menus(thread, room):
                    with contextlib.suppress(NotAcknowledged, LookupError, SlackRefusal):
                        await self.world.slack.interactions.press(who, model_menus[0], "start_chat")
                await asyncio.sleep(1.0)
        self.channel_by_thread[thread] = room

    async def reply(self) -> None:
        """Replies with one message, or with two at once."""
        thread, room = self._random_thread()
        for _ in range(random.choice((1, 1, 1, 2))):
            who, text = random.choice(PEOPLE), self.question()
            await self.world.slack.conversations.say(who, room, text, thread)
            self.asked.append(Question(text, thread, room, who))

    async def post(self) -> None:
        """Posts through the API in a chat that has a thread."""
        text = self.question()
        async with self.open_api() as http:
            listed = (await http.get("/chat/conversations")).json()["conversations"]
            chat = random.choice(listed)["id"]
            answer = await http.post(f"/chat/conversations/{chat}/messages", json={"content": text})
        thread = self.world.rows("SELECT channel, thread FROM chats WHERE id = ?", chat)[0]
        refusal = (
            None
            if answer.status_code in (201, 502)
            else f"{answer.status_code} {answer.json()['error']}"
        )
        self.asked.append(Question(text, thread["thread"], thread["channel"], "program", refusal))

    async def stop(self) -> None:
        """Stops a running answer by its button, or by Slack's own control."""
        running = self.world.rows(RUNNING)
        thread = random.choice(running)["thread"]
        room = self.channel_by_thread[thread]
        if random.random() < 0.5 and self.world.slack.agent_sessions.can_stop(room, thread):
            await self.world.slack.agent_sessions.stop("alice", room, thread)
        else:
            for header in self.world.stop_buttons(thread, room):
                await self.world.slack.interactions.press("alice", header, "stop_answer")

    async def retry(self) -> None:
        """Retries a failed answer; two people press the button at once."""
        thread, room = self._random_thread()
        failed = [m for m in self.world.answers(thread, room) if elements(m, "retry_answer")]
        message = random.choice(failed)
        for who in ("alice", "bob"):
            self.act_later(
                lambda who=who: self.world.slack.interactions.press(  # type: ignore[misc]
                    who, message, "retry_answer"
                )
            )

    async def lists(self) -> None:
        await self.world.slack.interactions.command(
            random.choice(PEOPLE),
            random.choice(self.channels),
            "/chats",
            random.choice(("", "", "number 1010", "help")),
        )

    async def open_home(self) -> None:
        await self.world.slack.views.open_home(random.choice(PEOPLE))

    async def read(self) -> None:
        """Reads the list of chats and the newest chat through the API."""
        async with self.open_api() as http:
            listed = (await http.get("/chat/conversations")).json()["conversations"]
            if listed:
                (await http.get(f"/chat/conversations/{listed[0]['id']}")).raise_for_status()

    def _chats_in(self, thread: str) -> list[dict[str, Any]]:
        return self.world.rows("SELECT id FROM chats WHERE thread = ?", thread)

    def _random_thread(self) -> tuple[str, str]:
        return random.choice(list(self.channel_by_thread.items()))
