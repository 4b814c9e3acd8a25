"""Processes are killed at random moments: every message is still answered once, in one place, with no word twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.sandbox.errors import NotAcknowledged, SlackRefusal
from bot.sandbox.models.scripts import ModelScript
from bot.sandbox.models.server import ModelRequest
from tests.cluster.processes import Cluster
from tests.cluster.replicas import answer_to, answering
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ROOT, ForkServer
from tests.handlers.world import is_not_answer, shown

PEOPLE = ("alice", "bob", "carol")


@dataclass
class Crowd:
    """People who ask and reply all the time, whether the bot is running or not."""

    world: Cluster
    chance: random.Random
    threads: dict[str, list[str]] = field(default_factory=dict)
    """The questions of each thread, in order."""
    places: dict[str, str] = field(default_factory=dict)
    channels: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    asked: int = 100

    def question(self, thread: str | None = None) -> str:
        self.asked += 1
        text = f"What about number {self.asked}"
        if thread is not None:
            self.threads[thread].append(text)
        return text

    async def ask(self) -> None:
        """Starts a chat; a model is chosen as soon as there is a menu, again and again until the chat exists."""
        who = self.chance.choice(PEOPLE)
        text = self.question()
        channel = self.chance.choice(self.channels)
        thread = await self.world.slack.conversations.say(
            who, channel, f"<@{self.world.slack.bot_user.id}> {text}"
        )
        self.threads[thread], self.places[thread] = [text], channel
        self.tasks.append(asyncio.create_task(self._choose(who, thread)))

    async def reply(self) -> None:
        if not self.threads:
            return await self.ask()
        thread = self.chance.choice(list(self.threads))
        if self.world.rows("SELECT 1 FROM chats WHERE thread = ?", thread):
            who = self.chance.choice(PEOPLE)
            await self.world.slack.conversations.say(
                who, self.places[thread], self.question(thread), thread
            )
        return None

    async def _choose(self, who: str, thread: str) -> None:
        while not self.world.rows("SELECT 1 FROM chats WHERE thread = ?", thread):
            if model_menus := self.world.menus(thread, self.places[thread]):
                with contextlib.suppress(NotAcknowledged, LookupError, SlackRefusal):
                    await self.world.slack.interactions.press(who, model_menus[0], "start_chat")
            await asyncio.sleep(0.1)

    async def live(self, seconds: float) -> None:
        """Asks and replies for this many seconds."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await (self.ask() if self.chance.random() < 0.35 else self.reply())
            left = end - asyncio.get_running_loop().time()
            await asyncio.sleep(min(max(0.0, left), self.chance.uniform(0.3, 1.5)))


async def everything_is_answered(crowd: Crowd) -> None:
    world = crowd.world
    await asyncio.wait_for(asyncio.gather(*crowd.tasks), WAIT_TIMEOUT)
    count = sum(map(len, crowd.threads.values()))
    done = (
        "SELECT 1 FROM answers a JOIN messages m ON m.id = a.message_id "
        "WHERE a.state = 'ended' AND m.status = 'done'"
    )
    await world.until(lambda: len(world.rows(done)) == count, f"{count} answers")
    await world.idle()
    for thread, requests in crowd.threads.items():
        stored, channel = world.messages(thread), crowd.places[thread]
        asked = [m["text"] for m in stored if m["role"] == "user"]
        assert sorted(asked) == sorted(
            requests
        )  # an event that is redelivered after a kill may arrive after a later one
        assert [m["text"] for m in stored if m["role"] == "assistant"] == [
            answer_to(text) for text in asked
        ]
        visible = [shown(message) for message in world.answers(thread, channel)]
        assert sorted(visible) == sorted(answer_to(text) for text in requests)
        assert (len(world.headers(thread, channel)), len(world.menus(thread, channel))) == (1, 0)
        assert [
            shown(m) for m in world.slack.workspace.channel(channel).deleted if not is_not_answer(m)
        ] == []


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "kills"), [(1, 3), (2, 8)])
async def test_kills_at_random_moments_lose_and_repeat_nothing(
    tmp_path: Path, fork_server: ForkServer, thorough: bool, processes: int, kills: int
) -> None:
    seed = secrets.randbelow(10_000) if thorough else 1
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Cluster(
        tmp_path, fork_server, processes=processes, environment={"TEST_RATE_SCALE": "5"}
    ) as world:
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict", "no_reaction", "already_reacted",
                      "message_not_found", "used_url")  # fmt: skip
        world.models.answer_with("*", answering)
        people = [world.slack.workspace.user(name).id for name in PEOPLE] + [
            world.slack.bot_user.id
        ]
        rooms = [world.slack.workspace.add_channel(f"room{n}", people).id for n in range(5)]
        crowd = Crowd(world, chance, channels=rooms)
        for number in range(kills * 5 if thorough else kills):
            await crowd.live(chance.uniform(0.2, 1.3))
            await world.kill(number % processes)
            await world.launch(number % processes)
            await world.connected(processes if number % 3 == 0 else 1)
        await everything_is_answered(crowd)


@pytest.mark.slow
async def test_sigterm_hands_over_unfinished_answers(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """The next process goes on at once, in the same message, without waiting for a lease to lapse."""
    async with Cluster(tmp_path, fork_server, environment={"BOBBIN_GRACE": "0.2"}) as world:
        world.forgive_logger(
            "slack_sdk.socket_mode"
        )  # it warns when an event comes while the socket is closing
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
        world.models.answer_with("*", lambda asked: replace(answering(asked), rate=15.0))
        thread = await world.start("What about number 7")
        begun = await world.until(lambda: world.answers(thread), "the first words")
        await world.kill(0, signal.SIGTERM)
        assert [m["status"] for m in world.messages(thread)] == ["done", "running"]
        assert world.rows("SELECT 1 FROM answers WHERE owner IS NOT NULL") == []

        await world.launch(0)
        assert await world.answered(thread) == [answer_to("What about number 7")]
        await world.idle()
        assert [m.ts for m in world.answers(thread)] == [begun[0].ts]


async def test_sigterm_lets_answers_finish_within_the_grace(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    async with Cluster(tmp_path, fork_server) as world:
        world.models.answer_with("*", answering)
        thread = await world.start("What about number 8")
        await world.until(lambda: world.answers(thread), "the first words")
        await world.kill(0, signal.SIGTERM)
        assert [m["status"] for m in world.messages(thread)] == ["done", "done"]
        assert [shown(m) for m in world.answers(thread)] == [answer_to("What about number 8")]


async def test_run_command_starts_answers_and_exits_with_0(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """`python -m bot run` itself, without the fork server: exit code 0 at SIGTERM."""
    async with Cluster(tmp_path, fork_server, processes=0) as world:
        world.models.answer_with("*", answering)
        with (tmp_path / "process0.log").open("wb") as log:
            command = (sys.executable, "-m", "bot", "run")
            bot = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=world.environment(), stderr=log
            )
        await world.connected(1)
        thread = await world.start("What about number 9")
        assert await world.answered(thread) == [answer_to("What about number 9")]
        bot.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bot.wait(), WAIT_TIMEOUT) == 0


CROWD = 12


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
async def test_many_answers_killed_while_streaming_all_continue(
    tmp_path: Path, fork_server: ForkServer, processes: int
) -> None:
    """Each in its own message, with no word lost or twice, in the next process or in the one beside."""
    environment = {"TEST_RATE_SCALE": "5", "BOBBIN_MODEL_TIMEOUT": "3600"}
    async with Cluster(tmp_path, fork_server, environment=environment) as world:
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
        killed = False

        def stopping(asked: ModelRequest) -> ModelScript:
            """Sends some words, and the others only after the kill."""
            script = answering(asked)
            times = [0.0] * 10 + [0.0 if killed else 3_600.0] * (len(script.pieces) - 10)
            return replace(script, times=times) if len(script.pieces) > 10 else script

        world.models.answer_with("*", stopping)
        bot = world.slack.bot_user.id
        people = [world.slack.workspace.user(name).id for name in PEOPLE]
        rooms = [world.slack.workspace.add_channel(f"room{n}", [*people, bot]).id for n in range(3)]
        asked = [f"What about number {number}" for number in range(CROWD)]
        places = [rooms[number % len(rooms)] for number in range(CROWD)]
        threads = [
            await world.start(text, PEOPLE[number % 3], places[number])
            for number, text in enumerate(asked)
        ]
        crowd = list(zip(threads, places, asked, strict=True))

        def begun() -> list[str]:
            return [m.ts for thread, place, _ in crowd for m in world.answers(thread, place)]

        await world.until(lambda: len(begun()) == CROWD, "the first words of all")
        before, killed = begun(), True
        if processes > 1:
            world.processes.append(0)
            await world.launch(1)
            await world.connected(2)
        await world.kill(0)
        if processes == 1:
            await world.launch(0)
        for thread, place, text in crowd:
            assert await world.answered(thread, channel=place) == [answer_to(text)]
        await world.until(lambda: not world.chores(), "the after-work")
        assert begun() == before
        assert min(row["attempt"] for row in world.rows("SELECT attempt FROM answers")) > 1
        for place in rooms:
            deleted = world.slack.workspace.channel(place).deleted
            assert [shown(m) for m in deleted if not is_not_answer(m)] == []
