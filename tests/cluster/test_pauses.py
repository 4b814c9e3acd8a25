"""Processes that pause for longer than their lease and then continue: no answer is shown in two places."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text, text_of, words
from tests.cluster.replicas import SCALED_LIMITS, Replicas, UserChat, user_chats
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer
from tests.handlers.world import shown
from tests.redis_service import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
LEASE = 4.0
"""Seconds: short, so that a test can wait for several leases to lapse; a busy machine delays no renewal for so long."""
WRITTEN = "SELECT message_id FROM answers WHERE state = 'running'"
LONG, SHORT = 1300, 30
"""Words of an answer: more than one message holds, and a few."""
TROUBLES = ("message_not_in_streaming_state", "streaming_state_conflict", "no_reaction", "already_reacted",
            "message_not_found",
            "used_url")  # fmt: skip
"""What Slack may refuse after a kill. The next process does not know how often the last one used a `response_url`."""


def answer_to(question: str) -> str:
    """The model's answer to this question. Every word names the question; every third answer is long."""
    number = int(question.rpartition(" ")[2])
    return " ".join(f"q{number}n{n:04}" for n in range(SHORT if number % 3 else LONG))


def answering(asked: Any) -> ModelScript:
    if asks_for_title(asked.messages):
        return script_from_text("A short title", 100)
    text = answer_to(text_of(asked.messages[-1]))
    return ModelScript(words(text), rate=len(text) / 30)


class Paused(Replicas):
    """Replicas with short leases, and a Slack that takes a moment for each call."""

    def __init__(
        self,
        folder: Path,
        fork_server: ForkServer,
        postgresql: str,
        redis: str,
        mode: StreamMode,
        **options: Any,
    ) -> None:
        super().__init__(folder, fork_server, postgresql, redis, **options)
        self._more_environment = {
            **self._more_environment,
            "TEST_LEASE": str(LEASE),
            "BOBBIN_STREAM": mode,
        }
        self.models.answer_with("*", answering)
        self.forgive(*TROUBLES)

    def owner(self, number: int) -> str:
        """An SQL pattern for the worker id of this process."""
        return f"%:{self.processes[number]}:%"


def check(user_chat: UserChat) -> None:
    """Every answer is whole and there once, in the database and in the Slack messages that the database names."""
    world = user_chat.world
    stored = world.messages(user_chat.thread)
    asked = [m["text"] for m in stored if m["role"] == "user"]
    assert sorted(asked) == sorted(user_chat.questions)
    stored_answers = [(m["status"], m["text"]) for m in stored if m["role"] == "assistant"]
    assert stored_answers == [("done", answer_to(question)) for question in asked]
    visible = world.answers(user_chat.thread, user_chat.channel)
    assert " ".join(map(shown, visible)).split() == " ".join(map(answer_to, asked)).split(), (
        _summary(visible)
    )
    query = "SELECT a.parts FROM answers a JOIN chats c ON c.id = a.chat_id WHERE c.thread = ? ORDER BY a.number"
    assert [part["ts"] for row in world.rows(query, user_chat.thread) for part in row["parts"]] == [
        m.ts for m in visible
    ]
    user_chat.check_that_nothing_waits()


def _summary(visible: list[Any]) -> str:
    said = [shown(message).split() for message in visible]
    return json.dumps([f"{len(each)} words, {each[:1]} … {each[-1:]}" for each in said])


async def settled(world: Replicas, begun: list[UserChat]) -> None:
    count = sum(len(user_chat.questions) for user_chat in begun)
    await world.until(
        lambda: len(world.rows("SELECT 1 FROM answers WHERE state = 'ended'")) == count,
        f"{count} answers",
    )
    await world.idle()
    # A process that was paused just before a call may set a status late; Slack clears it by itself after two minutes.
    await world.until(
        lambda: not any(thread.status for thread in world.threads()), "no status is left"
    )
    for user_chat in begun:
        check(user_chat)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chats", "pauses", "redis_there", "mode"),
    [
        (1, 1, True, StreamMode.AUTO),
        (6, 2, True, StreamMode.AUTO),
        (6, 2, False, StreamMode.EDIT),
    ],
)
async def test_process_paused_beyond_its_lease_writes_no_word_twice(
    tmp_path: Path,
    fork_server: ForkServer,
    postgresql_url: str,
    own_redis: RedisServer,
    thorough: bool,
    chats: int,
    pauses: int,
    redis_there: bool,
    mode: StreamMode,
) -> None:
    """Two of three processes pause again and again, at random moments of short and of long answers."""
    seed = secrets.randbelow(10_000) if thorough else 1
    print(f"seed {seed}")
    chance = random.Random(seed)
    limits = replace(SCALED_LIMITS, latency=0.1)
    async with Paused(
        tmp_path, fork_server, postgresql_url, own_redis.url, mode, limits=limits
    ) as world:
        if not redis_there:
            own_redis.stop()
        begun = user_chats(world, 12 if thorough else chats, 6 if thorough else 3)
        conversing = asyncio.gather(
            *(
                _converse(user_chat, chance.uniform(0.0, 8.0 if thorough else 4.0))
                for user_chat in begun
            )
        )
        await asyncio.gather(
            *(_stand_still(world, number, 20 if thorough else pauses, chance) for number in (0, 1))
        )
        await asyncio.wait_for(conversing, WAIT_TIMEOUT)
        await settled(world, begun)


async def _stand_still(world: Paused, number: int, times: int, chance: random.Random) -> None:
    """Pauses the process until another one has taken over, or ended, what it was writing."""
    for turn in range(times):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        with world.standing_still(number):
            mine = [
                row["message_id"]
                for row in world.rows(f"{WRITTEN} AND owner LIKE ?", world.owner(number))
            ]
            await asyncio.sleep(LEASE)
            whose = world.owner(number) if turn % 2 else "%"
            await world.until(
                partial(_nobody_writes, world, mine, whose), "somebody else has it, or has ended it"
            )
            await asyncio.sleep(chance.uniform(0.0, LEASE))


def _nobody_writes(world: Paused, answer_ids: list[str], whose: str) -> bool:
    return not world.rows(f"{WRITTEN} AND message_id = ANY(?) AND owner LIKE ?", answer_ids, whose)


async def _converse(user_chat: UserChat, after: float) -> None:
    await asyncio.sleep(after)
    await user_chat.begin()
    await asyncio.sleep(0.5)
    await user_chat.go_on()
