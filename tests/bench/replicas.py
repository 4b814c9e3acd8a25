"""A thousand answers at once over three replicas: `bobbin run` three times on one PostgreSQL and one Redis.

    python -m tests.bench.replicas [--answers 1000] [--replicas 3] [--words 60] [--rate 1]

Slack is as strict as ever, but as generous as twenty workspaces together, since a single one lets no more than some
dozens of answers stream; the replicas know it. What is looked for: every answer whole and once, no call refused, and
what each process takes of memory and processor.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg

from bot.sandbox.limits import Limits
from bot.sandbox.state.records import Message
from tests import redis_service, services
from tests.bench.environment import (
    ASKER,
    Deployment,
    Environment,
    StormThread,
    open_environment,
    script,
)

RATE_SCALE = 20.0
"""How many times as much as it does this Slack allows."""
ROOMS = 100
LIMIT = 300.0
"""Seconds that all answers may take."""
GENEROUS = Limits(rate_scale=RATE_SCALE, burst=0.2)


@dataclass(frozen=True)
class Taken:
    """What one replica took."""

    megabytes: float
    cpu: float
    """Seconds of processor."""


@dataclass(frozen=True)
class Outcome:
    states: Counter[str]
    """The states of the answers at the end."""
    seconds: float
    refused: int
    streaming: int
    """The most answers that were being written at the same moment."""
    first: float
    """Seconds from the question to something visible, median."""
    taken: list[Taken]


async def measure(deployment: Deployment, answers: int, words: int, rate: float) -> Outcome:
    said = script(words, rate)
    whole = "".join(piece for piece in said.pieces if isinstance(piece, str))
    async with open_environment(answers, ROOMS, said, deployment) as environment:
        before, calls = [bot.cpu() for bot in environment.bots], len(environment.slack.calls)
        loop, clock = asyncio.get_running_loop(), environment.slack.workspace.clock
        began, asked = loop.time(), {}
        for thread in environment.threads:
            asked[thread.root] = clock()
            await environment.slack.conversations.say(
                ASKER, thread.channel, thread.question, thread.root
            )
        streaming, largest = await _watch(environment, deployment.database or "", began, answers)
        seconds = loop.time() - began
        await asyncio.sleep(2.0)
        shown = [_answers(environment, thread) for thread in environment.threads]
        first = [messages[0].states[0].at - asked[thread.root]
                 for thread, messages in zip(environment.threads, shown, strict=True) if messages]  # fmt: skip
        return Outcome(
            states=Counter(_state_of(messages, whole) for messages in shown),
            seconds=seconds,
            refused=sum(call.error == "ratelimited" for call in environment.slack.calls[calls:]),
            streaming=streaming,
            first=statistics.median(first),
            taken=[
                Taken(mb, bot.cpu() - spent)
                for bot, spent, mb in zip(environment.bots, before, largest, strict=True)
            ],
        )


async def _watch(
    environment: Environment, database: str, began: float, answers: int
) -> tuple[int, list[float]]:
    """Until every answer has ended: how many were being written at most, and the largest memory of each replica.

    The database is asked, since reading a thousand threads would take the time that this Slack needs.
    """
    most, largest = 0, [0.0] * len(environment.bots)
    query = "SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'ended') FROM answers"
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while asyncio.get_running_loop().time() - began < LIMIT:
            await asyncio.sleep(1.0)
            largest = [
                max(old, bot.megabytes())
                for old, bot in zip(largest, environment.bots, strict=True)
            ]
            row = await (await connection.execute(query)).fetchone()
            assert row is not None
            most = max(most, row[0])
            if (
                row[1] >= 2 * answers + 2
            ):  # each chat's first exchange is there as well, and the warm-up
                break
    return most, largest


def _answers(environment: Environment, thread: StormThread) -> list[Message]:
    return [
        m
        for m in environment.slack.workspace.thread(thread.channel, thread.root)
        if m.user == environment.slack.bot_user.id
    ]


def _state_of(messages: list[Message], whole: str) -> str:
    """`whole` if the text is there once, in one closed message; otherwise what is wrong."""
    if len(messages) != 1:
        return f"in {len(messages)} messages"
    if messages[0].streaming:
        return "open"
    return "whole" if messages[0].text.count(whole) == 1 else "not whole"


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=1_000)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--rate", type=float, default=1.0)
    given = parser.parse_args()
    with ExitStack() as stack:
        server, redis = services.postgresql(), redis_service.redis_server()
        stack.callback(server.close)
        stack.callback(redis.close)
        database = services.new_database(server.url)
        deployment = Deployment(
            database.url, redis.url, replicas=given.replicas, rate_scale=RATE_SCALE, limits=GENEROUS
        )
        outcome = await measure(deployment, given.answers, given.words, given.rate)
        database.close()
    print(
        f"{given.answers} answers of {given.words} words at {given.rate:g} a second over {given.replicas} replicas"
    )
    print(
        f"states: {dict(outcome.states)}; refused calls: {outcome.refused}; ended after {outcome.seconds:.1f} s"
    )
    print(
        f"most written at the same moment: {outcome.streaming}; first words after {outcome.first:.2f} s (median)"
    )
    for number, taken in enumerate(outcome.taken, 1):
        share = taken.cpu / outcome.seconds
        print(
            f"replica {number}: at most {taken.megabytes:.0f} MB, {taken.cpu:.1f} s of processor: {share:.2f} cores"
        )
    return 0 if outcome.states["whole"] == given.answers and not outcome.refused else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
