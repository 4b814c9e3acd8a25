"""People and a program that use everything Bobbin has, at random, and remember what they asked."""

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
PATIENCE = 240.0
"""Seconds until a menu must have been there to start with, whatever happened meanwhile."""
RUNNING = "SELECT c.thread FROM answers a JOIN chats c ON c.id = a.chat_id WHERE a.state = 'running' AND c.thread > ''"
RUDE = 0.15
"""Share of requests that a model answers rudely."""


def answer_to(question: str) -> str:
    """What the model answers whenever it is asked this: every word of it tells which question it belongs to."""
    number = question.rpartition(" ")[2]
    return " ".join(
        f"q{number}n{n:03}" for n in range(random.Random(number).choice((5, 20, 60, 150)))
    )


def answering(asked: Any) -> ModelScript:
    """Mostly the answer; now and then a refusal, a break, an empty answer, silence."""
    if asks_for_title(asked.messages):
        return script_from_text("A short title", 100)
    pieces = words(answer_to(text_of(asked.messages[-1])))
    if random.random() >= RUDE:
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
    """Something that was asked, so that it can be accounted for."""

    text: str
    thread: str
    channel: str
    by: str
    refusal: str | None = None
    """What a program was told instead of an answer."""


@dataclass
class SimulatedUsers:
    """Asks about `per_minute` questions a minute until told to stop; `asked` is what must be accounted for."""

    world: Cluster
    program: Callable[[], httpx.AsyncClient]
    """The HTTP side of a process that lives all the time, with alice's token."""
    rooms: list[str]
    per_minute: float
    asked: list[Question] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    """Channels by thread."""
    deeds: Counter[str] = field(default_factory=Counter)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    number: int = 1000

    async def live(self, seconds: float) -> None:
        """All kinds of deeds, each in a task of its own, as people do not wait for each other."""
        end = asyncio.get_running_loop().time() + seconds
        deeds: dict[Callable[[], Awaitable[None]], float] = {
            self.ask: 0.16,
            self.reply: 0.38,
            self.post: 0.10,
            self.stop: 0.10,
            self.retry: 0.08,
            self.lists: 0.10,
            self.look_home: 0.04,
            self.read: 0.04,
        }
        asking = deeds[self.ask] + deeds[self.reply] + deeds[self.post]
        while (left := end - asyncio.get_running_loop().time()) > 0:
            (deed,) = random.choices(list(deeds), list(deeds.values()))
            self.later(deed)
            await asyncio.sleep(min(left, random.expovariate(self.per_minute / 60 / asking)))

    def later(self, deed: Callable[[], Awaitable[None]]) -> None:
        """Do it beside the rest. What Slack or the network does not let happen now does not happen."""

        async def doing() -> None:
            try:
                await deed()
            except (NotAcknowledged, SlackRefusal, LookupError, httpx.TransportError) as trouble:
                self.deeds[f"{getattr(deed, '__name__', 'deed')}: {type(trouble).__name__}"] += 1
            else:
                self.deeds[getattr(deed, "__name__", "deed")] += 1

        task = asyncio.create_task(doing())
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def settled(self) -> None:
        """Everything that was begun has been done."""
        while self.tasks:
            await asyncio.wait(self.tasks)

    def question(self) -> str:
        self.number += 1
        return f"What about number {self.number}"

    async def ask(self) -> None:
        """A mention, and the choice as soon as there is a menu; again when nobody heard it."""
        who, room, text = random.choice(PEOPLE), random.choice(self.rooms), self.question()
        thread = await self.world.slack.conversations.say(
            who, room, f"<@{self.world.slack.bot_user.id}> {text}"
        )
        self.asked.append(Question(text, thread, room, who))
        async with asyncio.timeout(PATIENCE):
            while not self._begun(thread):
                if model_menus := self.world.menus(thread, room):
                    with contextlib.suppress(NotAcknowledged, LookupError, SlackRefusal):
                        await self.world.slack.interactions.press(who, model_menus[0], "start_chat")
                await asyncio.sleep(1.0)
        self.places[thread] = room

    async def reply(self) -> None:
        """One message, or two at once."""
        thread, room = self._somewhere()
        for _ in range(random.choice((1, 1, 1, 2))):
            who, text = random.choice(PEOPLE), self.question()
            await self.world.slack.conversations.say(who, room, text, thread)
            self.asked.append(Question(text, thread, room, who))

    async def post(self) -> None:
        """By the program, in a chat that lives in a thread."""
        text = self.question()
        async with self.program() as http:
            listed = (await http.get("/chat/conversations")).json()["conversations"]
            chat = random.choice(listed)["id"]
            answer = await http.post(f"/chat/conversations/{chat}/messages", json={"content": text})
        thread = self.world.rows("SELECT channel, thread FROM chats WHERE id = ?", chat)[0]
        told = (
            None
            if answer.status_code in (201, 502)
            else f"{answer.status_code} {answer.json()['error']}"
        )
        self.asked.append(Question(text, thread["thread"], thread["channel"], "program", told))

    async def stop(self) -> None:
        """By the button of a chat that is at work, or by Slack's own control."""
        running = self.world.rows(RUNNING)
        thread = random.choice(running)["thread"]
        room = self.places[thread]
        if random.random() < 0.5 and self.world.slack.agent_sessions.can_stop(room, thread):
            await self.world.slack.agent_sessions.stop("alice", room, thread)
        else:
            await self.world.slack.interactions.press(
                "alice", self.world.header(thread, room), "stop_answer"
            )

    async def retry(self) -> None:
        """By the button under a failed answer; two people at once."""
        thread, room = self._somewhere()
        failed = [m for m in self.world.answers(thread, room) if elements(m, "retry_answer")]
        message = random.choice(failed)
        for who in ("alice", "bob"):
            self.later(
                lambda who=who: self.world.slack.interactions.press(  # type: ignore[misc]
                    who, message, "retry_answer"
                )
            )

    async def lists(self) -> None:
        await self.world.slack.interactions.command(
            random.choice(PEOPLE),
            random.choice(self.rooms),
            "/chats",
            random.choice(("", "", "number 1010", "help")),
        )

    async def look_home(self) -> None:
        await self.world.slack.views.open_home(random.choice(PEOPLE))

    async def read(self) -> None:
        """By the program: the list, and the newest chat of it."""
        async with self.program() as http:
            listed = (await http.get("/chat/conversations")).json()["conversations"]
            if listed:
                (await http.get(f"/chat/conversations/{listed[0]['id']}")).raise_for_status()

    def _begun(self, thread: str) -> list[dict[str, Any]]:
        return self.world.rows("SELECT id FROM chats WHERE thread = ?", thread)

    def _somewhere(self) -> tuple[str, str]:
        return random.choice(list(self.places.items()))
