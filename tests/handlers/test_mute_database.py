"""The database's connections stop responding while answers are written: all continue, once, and readiness is
correct.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.tcp_proxy import Mute, TcpProxy
from tests.handlers.world import Reader, Row, World
from tests.local_http import local_client
from tests.slow import slow_after

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("dialect", ["postgresql"])]

QUESTIONS = ("What is one?", "What is two?", "What is three?")
ANSWERS = {question: " ".join(f"w{n:02}" for n in range(40)) for question in QUESTIONS}
TIMING = patient_timing(
    # A writer asks the database before each call, once a renewal is this old:
    lease_safe=2.0,
    lease_duration=20.0,
    overdue=8.0,
    chore_timeout=4.0,  # an unconfirmed claim lapses soon afterwards
    idle_transaction_timeout=8.0,
    # Short, because each of them is waited for in full; long enough for a server that waits for a processor.
    database_connect_timeout=5.0,
    database_statement_timeout=5.0,
    database_lease_timeout=3.0,
    database_outcome_timeout=7.0,
)


class PostgresReader(Reader):
    """What the test itself reads, past the proxy."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._postgresql: psycopg.Connection[Row] | None = None

    def rows(self, query: str, *values: Any) -> list[Row]:
        if self._postgresql is None:
            self._postgresql = psycopg.connect(self._url, autocommit=True, row_factory=dict_row)
        return list(self._postgresql.execute(query.replace("?", "%s").encode(), values or None))

    def close(self) -> None:
        if self._postgresql is not None:
            self._postgresql.close()
            self._postgresql = None


@dataclass(frozen=True)
class Muted:
    """A world whose database is behind a proxy."""

    world: World
    proxy: TcpProxy

    async def readiness(self) -> tuple[int, str]:
        """The status, and what is reported about the database."""
        assert self.world.bot is not None
        async with local_client(timeout=WAIT_TIMEOUT) as http:
            answer = await http.get(f"{self.world.bot.url}/readyz")
        return answer.status_code, answer.json()["checks"]["database"]

    async def until_ready(self, ready: bool) -> None:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (found := await self.readiness())[0] != (200 if ready else 503):
                await asyncio.sleep(0.05)
        assert (found[1] == "ok") is ready


@pytest.fixture
async def muted(worlds: WorldFactory, migrated_url: str) -> AsyncIterator[Muted]:
    async with (
        TcpProxy(migrated_url) as proxy,
        worlds(database_url=SecretStr(proxy.url), timing=TIMING) as world,
    ):
        world._reader = PostgresReader(migrated_url)
        world.allow_redelivery()
        yield Muted(world, proxy)
        proxy.mute(Mute.NOTHING)


async def _new_connections_work(muted: Muted, held: Mute) -> None:
    muted.proxy.mute(held, new=False)


async def _halted(muted: Muted, held: Mute) -> None:
    muted.proxy.mute(held)
    await muted.until_ready(False)
    muted.proxy.mute(Mute.NOTHING)


async def _at_a_commit(muted: Muted, held: Mute) -> None:
    reached = muted.proxy.mute_at(b"COMMIT", held, new=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await reached.wait()


FORMS: dict[str, Callable[[Muted, Mute], Awaitable[None]]] = {
    "those that are open": _new_connections_work,
    "all, for a while": _halted,
    "within a commit": _at_a_commit,
}


@pytest.mark.parametrize(
    ("form", "held"),
    slow_after(
        1,
        [
            ("those that are open", Mute.BOTH),
            ("all, for a while", Mute.BOTH),
            ("within a commit", Mute.RESPONSES),
            ("those that are open", Mute.REQUESTS),
            ("those that are open", Mute.RESPONSES),
            ("all, for a while", Mute.REQUESTS),
            ("all, for a while", Mute.RESPONSES),
            ("within a commit", Mute.BOTH),
            ("within a commit", Mute.REQUESTS),
        ],
    ),
)
async def test_answers_continue_when_connections_stop_responding(
    muted: Muted, form: str, held: Mute
) -> None:
    world = muted.world
    world.reply_to(ANSWERS, rate=10)
    threads = [await world.start(question) for question in QUESTIONS]
    await world.until(lambda: all(map(world.answers, threads)), "the first words")
    await FORMS[form](muted, held)
    for thread, question in zip(threads, QUESTIONS, strict=True):
        assert await world.answered(thread) == [ANSWERS[question]]
    await muted.until_ready(True)
    await world.idle()
    assert world.rows("SELECT count(*) AS n FROM answers") == [{"n": 3}]
    said = [
        each["text"] for each in world.rows("SELECT text FROM messages WHERE role = 'assistant'")
    ]
    assert sorted(said) == sorted(ANSWERS.values())


async def test_a_question_asked_while_the_database_does_not_respond_is_answered_once(
    muted: Muted,
) -> None:
    world = muted.world
    world.reply_to(ANSWERS)
    thread = await world.start(QUESTIONS[0])
    await world.answered(thread)
    muted.proxy.mute(Mute.BOTH)
    asked = asyncio.create_task(
        world.slack.conversations.say("alice", "general", QUESTIONS[1], thread)
    )
    await muted.until_ready(False)
    muted.proxy.mute(Mute.NOTHING)
    await asked
    assert await world.answered(thread, 2) == [ANSWERS[q] for q in QUESTIONS[:2]]
    await muted.until_ready(True)


SAVES = {"the result": b"ending=", "the end": b"answers.retry_requested"}
"""A statement of each transaction."""


@pytest.mark.parametrize(
    ("save", "held", "asked"),
    slow_after(
        1,
        [
            ("the result", Mute.RESPONSES, True),
            ("the end", Mute.REQUESTS, True),
            ("the end", Mute.RESPONSES, False),
            ("the result", Mute.REQUESTS, True),
            ("the result", Mute.RESPONSES, False),
            ("the end", Mute.RESPONSES, True),
        ],
    ),
)
async def test_an_unconfirmed_store_is_recognised(
    muted: Muted, save: str, held: Mute, asked: bool
) -> None:
    """The worker continues as after a confirmed success. `asked`: the database can be asked about the outcome."""
    world = muted.world
    world.reply_to(ANSWERS, rate=100)
    thread = await world.start(QUESTIONS[0])
    await world.until(lambda: world.answers(thread), "the first words")
    reached = muted.proxy.mute_at(b"COMMIT", held, new=not asked, after=SAVES[save])
    if not asked:
        await world.until(lambda: "in progress" in outcomes(world), "it stays unknown")
        muted.proxy.mute(Mute.NOTHING)
    assert await world.answered(thread) == [ANSWERS[QUESTIONS[0]]]
    await world.until(lambda: logged(world, "answer_shown"), "it is known to be shown")
    assert reached.is_set()
    assert len(world.requests()) == len(logged(world, "answer_ended")) == 1
    assert logged(world, "lease_lost") == []
    if asked and held is Mute.RESPONSES:
        assert "committed" in outcomes(world)
    else:
        assert any(
            e["logger"] == "bot.answers.storage_retry"
            for e in logged(world, "stored_after_retries")
        )


def outcomes(world: World) -> set[str]:
    """The outcomes of transactions whose COMMIT was not answered, as far as they are known."""
    return {each["outcome"] for each in logged(world, "commit_unanswered")}


def logged(world: World, event: str) -> list[Row]:
    return [line for line in world.lines() if line["event"] == event]
