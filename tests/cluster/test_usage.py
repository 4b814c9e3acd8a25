"""What models charged is in the ledger, and budgets hold, whichever process is killed or asked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Cluster
from tests.cluster.replicas import Replicas
from tests.fork_server import ForkServer
from tests.handlers.world import MODEL, elements
from tests.providers.scripted_server import (
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    responding,
)
from tests.usage.charging import ChargingModel, Reply, Told, told_in

OTHER = "other/model"
TOLD: Told = (500, 20, 100, 0.5)


class Day:
    """One person's chat, in which answers end in every way."""

    def __init__(self, world: Cluster, model: ChargingModel, thread: str) -> None:
        self.world, self.model, self.thread, self.asked = world, model, thread, 1

    async def say(self, *replies: Reply) -> None:
        """Asks once more; the model's calls go as these replies say."""
        self.model.replies.extend(replies)
        self.asked += 1
        await self.world.slack.conversations.say(
            "alice", "general", f"Question {self.asked}", self.thread
        )

    async def ended(self) -> None:
        await self.world.until(
            lambda: len(self.world.ended(self.thread)) == self.asked, "the answer's end"
        )

    async def until_asked(self) -> None:
        """The model has begun to answer, and will say no more."""
        await self.world.until(lambda: not self.model.replies, "the call")
        await self.world.until(
            lambda: len(self.world.answers(self.thread)) == self.asked, "the first words"
        )

    async def fail_and_retry(self, failure: Reply) -> None:
        await self.say(failure)
        await self.ended()
        failed = self.world.answers(self.thread)[-1]
        assert elements(failed, "retry_answer")
        self.model.replies.append(Reply())
        await self.world.slack.interactions.press("alice", failed, "retry_answer")
        await self.world.until(lambda: not self.model.replies, "the next call")
        await self.world.until(
            lambda: [a["ending"] for a in self.world.ended(self.thread)][-1:] == ["done"],
            "the second end",
        )

    async def stop(self, reply: Reply) -> None:
        await self.say(reply)
        await self.until_asked()
        await self.world.slack.conversations.say("alice", "general", "stop", self.thread)
        await self.ended()

    async def kill(self, *, retried: bool) -> None:
        """All processes are killed in mid-answer, and started again."""
        await self.say(Reply(told=None, end="hang"))
        await self.until_asked()
        self.model.replies.append(Reply("", told=TOLD, end="break") if retried else Reply())
        for number in range(len(self.world.processes)):
            await self.world.kill(number)
        for number in range(len(self.world.processes)):
            await self.world.launch(number)
        await self.ended()

    async def branch(self) -> None:
        """Asks another model, in a thread of its own."""
        await self._succeed(
            self.world.slack.interactions.choose(
                "alice", self.world.answers(self.thread)[0], "ask_another", f"openai:{OTHER}"
            )
        )

    async def continue_elsewhere(self) -> None:
        """Goes on in a new chat, which begins with a summary of this one."""
        (chat,) = self.world.rows("SELECT id FROM chats WHERE thread = ?", self.thread)
        header = self.world.header(self.thread)
        await self._succeed(
            self.world.slack.interactions.choose(
                "alice", header, "chat_menu", f"continue:{chat['id']}"
            )
        )

    async def _succeed(self, pressed: Coroutine[Any, Any, None]) -> None:
        """Awaits the press that makes a new chat, and then the model's work for it."""
        await pressed
        await self.world.idle()

    async def failures(self) -> None:
        await self.say(Reply("", told=TOLD, end="break"), Reply(end="http"), Reply())
        await self.ended()

    async def talk(self, reply: Reply) -> None:
        await self.say(reply)
        await self.ended()


@asynccontextmanager
async def a_day(tmp_path: Path, fork_server: ForkServer) -> AsyncIterator[Day]:
    """Adds up to what the model has charged in the end."""
    model = ChargingModel()

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        listed = responding({"data": [{"id": MODEL}, {"id": OTHER}]})
        await (listed if received.method == "GET" else model.answer)(received, out)

    async with ScriptedServer(behaviour).running() as server:
        environment = {"OPENAI_BASE_URL": server.url}
        async with Cluster(tmp_path, fork_server, processes=2, environment=environment) as world:
            # A killed process leaves its stream open. The worker that takes over the answer may come after Slack has
            # ended it.
            world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
            day = Day(world, model, await world.start("Question 1"))
            await day.ended()
            yield day
            await world.idle()
            rows = world.rows("SELECT * FROM ledger")
            assert Counter(told_in(rows)) == Counter(model.charged)
            (days,) = world.rows(
                "SELECT sum(prompt_tokens) a, sum(completion_tokens) b, sum(cached_tokens) c, "
                "sum(cost) d, sum(calls) n FROM usage_days"
            )
            assert tuple(days.values()) == (*model.total(), len(model.charged))


@pytest.mark.slow
async def test_a_day_adds_up_to_what_the_model_charged(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    async with a_day(tmp_path, fork_server) as day:
        for reply in (Reply(told=TOLD), Reply(told=None), Reply(told=TOLD, end="length")):
            await day.talk(reply)
        for failure in (Reply(told=TOLD, end="break"), Reply(told=TOLD, end="content_filter")):
            await day.fail_and_retry(failure)
        await day.failures()
        for told in (TOLD, None):
            await day.stop(Reply(told=told, end="hang"))
        for retried in (False, True):
            await day.kill(retried=retried)
        await day.world.idle()
        rows = day.world.rows("SELECT outcome FROM ledger WHERE kind = 'answer'")
        assert [row["outcome"] for row in rows].count("asked") == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_any_day_adds_up_to_what_the_model_charged(
    tmp_path: Path, fork_server: ForkServer, seed: int
) -> None:
    """In any order, with kills, branches and continuations; titles and summaries count too."""
    chance = random.Random(seed)
    async with a_day(tmp_path, fork_server) as day:
        deeds: list[Callable[[], Coroutine[Any, Any, None]]] = [
            lambda: day.talk(Reply(told=chance.choice((TOLD, None)))),
            lambda: day.talk(Reply(told=TOLD, end="length")),
            lambda: day.fail_and_retry(
                Reply(told=TOLD, end=chance.choice(("break", "content_filter")))
            ),
            day.failures,
            lambda: day.stop(Reply(told=chance.choice((TOLD, None)), end="hang")),
            lambda: day.kill(retried=chance.choice((True, False))),
            day.branch,
            day.continue_elsewhere,
        ]
        for deed in chance.sample([*deeds, *chance.choices(deeds, k=4)], len(deeds) + 4):
            await deed()
        kinds = day.world.rows("SELECT DISTINCT kind FROM ledger")
        assert {row["kind"] for row in kinds} == {"answer", "summary", "title"}


class Budgeted(Replicas):
    """Replicas with a budget that can be set later."""

    budget = ""

    def environment(self) -> dict[str, str]:
        set_ = {"BOBBIN_BUDGET_USER": self.budget} if self.budget else {}
        return super().environment() | set_


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
async def test_of_twenty_messages_at_the_edge_three_replicas_answer_one(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str
) -> None:
    async with Budgeted(tmp_path, fork_server, postgresql_url, redis_url) as world:
        threads = [await world.start(f"What about number {n}") for n in range(100, 104)]
        for thread in threads:
            await world.until(lambda: world.ended(thread), "the first answers")  # noqa: B023
        await world.idle()
        (used,) = world.rows(
            "SELECT sum(prompt_tokens) + sum(completion_tokens) AS tokens FROM ledger"
        )
        world.budget = f"{used['tokens'] + 1} tokens/month"
        for number in range(3):
            await world.kill(number)
        await world.start_bot()
        await asyncio.gather(
            *(
                world.slack.conversations.say(
                    "alice", "general", f"What about number {number}", threads[number % 4]
                )
                for number in range(200, 220)
            )
        )
        await world.until(lambda: len(world.whispers("alice")) >= 19, "the refusals")
        await world.idle()
        assert len(world.whispers("alice")) == 19
        assert all("tokens/month" in text for text in world.whispers("alice"))
        (stored,) = world.rows("SELECT count(*) AS n FROM answers")
        assert stored["n"] == len(threads) + 1
