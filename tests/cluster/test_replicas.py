"""Replicas, Redis and PostgreSQL come and go: every message is still answered once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from bot.sandbox.models.scripts import Fault, ModelScript, words
from tests.cluster.processes import until_acknowledged
from tests.cluster.replicas import (
    Replicas,
    UserChat,
    answer_to,
    answering,
    until_settled,
    user_chats,
)
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer
from tests.handlers.world import elements, shown
from tests.redis_service import RedisServer
from tests.services import PostgresServer
from tests.slow import slow_after

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
TROUBLES = ("message_not_in_streaming_state", "streaming_state_conflict", "no_reaction", "already_reacted",
            "message_not_found",
            "used_url")  # fmt: skip
"""What Slack may refuse after a kill. The next process does not know how often the last one used a `response_url`."""


@pytest.mark.slow
@pytest.mark.parametrize("chats", [3, 8])
async def test_replicas_start_on_an_empty_database_and_respect_rate_limits(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str, chats: int
) -> None:
    async with Replicas(tmp_path, fork_server, postgresql_url, redis_url) as world:
        world.forgive("no_reaction")
        world.slack.faults.copies = 2
        begun = user_chats(world, chats, 4)
        await asyncio.gather(*(_converse(user_chat, 2, in_order=True) for user_chat in begun))
        await until_settled(world, begun)
        assert [
            (call.method, call.error) for call in world.slack.calls if call.error == "ratelimited"
        ] == []
        writers = {line["owner"] for line in world.rows("SELECT DISTINCT owner FROM answers")}
        assert writers == {None}


@pytest.mark.slow
@pytest.mark.parametrize("chats", [4, 24])
async def test_answers_survive_kills_of_processes_redis_and_postgresql(
    tmp_path: Path,
    fork_server: ForkServer,
    own_postgresql: PostgresServer,
    own_redis: RedisServer,
    chats: int,
) -> None:
    async with Replicas(tmp_path, fork_server, own_postgresql.url, own_redis.url) as world:
        world.forgive(*TROUBLES)
        world.slack.faults.copies = 2
        begun = user_chats(world, chats, 8)
        conversing = asyncio.gather(*(_converse(user_chat, 1) for user_chat in begun))
        await asyncio.sleep(1.5)
        await world.kill(0)
        await asyncio.sleep(1.0)
        own_redis.stop()
        await asyncio.sleep(1.0)
        await asyncio.gather(world.launch(0), asyncio.to_thread(own_redis.start))
        await world.kill(1)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(own_postgresql.stop)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(own_postgresql.start)
        await asyncio.sleep(1.0)
        await world.kill(2)
        await asyncio.gather(world.launch(1), world.launch(2))
        await asyncio.wait_for(conversing, WAIT_TIMEOUT)
        await until_settled(world, begun, in_order=False)


@pytest.mark.slow
async def test_rolling_restart_while_slack_is_down_loses_nothing(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str
) -> None:
    async with Replicas(tmp_path, fork_server, postgresql_url, redis_url) as world:
        world.forgive(*TROUBLES)
        begun = user_chats(world, 8, 4)
        conversing = asyncio.gather(*(_converse(user_chat, 1) for user_chat in begun))
        for number in range(3):
            await asyncio.sleep(0.7)
            await world.kill(number, signal.SIGTERM)
            await world.launch(number)
            if number == 1:
                await _slack_is_down(world, 2.0)
        await asyncio.wait_for(conversing, WAIT_TIMEOUT)
        await until_settled(world, begun, in_order=False)


@pytest.mark.parametrize("redis_there", slow_after(1, [True, False]))
async def test_stop_works_on_any_replica(
    tmp_path: Path,
    fork_server: ForkServer,
    postgresql_url: str,
    own_redis: RedisServer,
    redis_there: bool,
) -> None:
    """Slack delivers the stop to any replica, whichever writes the answer."""
    async with Replicas(tmp_path, fork_server, postgresql_url, own_redis.url) as world:
        world.forgive("no_reaction")
        if not redis_there:
            own_redis.stop()
        world.models.answer_with("*", lambda asked: ModelScript(words(answer_to("1") * 50), 30.0))
        begun = user_chats(world, 6, 3)
        await asyncio.gather(*(user_chat.begin() for user_chat in begun))
        await world.until(
            lambda: all(_is_written(user_chat) for user_chat in begun),
            "six answers are being written",
        )
        await asyncio.gather(*(_stop(user_chat, n) for n, user_chat in enumerate(begun)))
        ended = "SELECT m.status, m.text FROM answers a JOIN messages m ON m.id = a.message_id WHERE a.state = 'ended'"
        await world.until(lambda: len(world.rows(ended)) == 6, "six answers have ended")
        await world.idle()
        assert {row["status"] for row in world.rows(ended)} == {"stopped"}
        assert all(asked.cancelled for asked in world.models.requests() if asked.stream)
        for user_chat in begun:
            text = "\n".join(
                shown(message) for message in world.answers(user_chat.thread, user_chat.channel)
            )
            assert "stopped" in text
            assert text.startswith(answer_to("1")[:20])


async def test_model_choice_and_retry_work_on_any_replica(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str
) -> None:
    """Everybody clicks everything at once, and Slack delivers each click twice, to any of the replicas."""
    async with Replicas(tmp_path, fork_server, postgresql_url, redis_url) as world:
        world.forgive("no_reaction")
        world.slack.faults.copies = 2
        world.models.answer_with(
            "*", lambda asked: ModelScript([], fault=Fault("http", status=400))
        )
        begun = user_chats(world, 6, 3)
        await asyncio.gather(*(user_chat.begin() for user_chat in begun))
        failed = "SELECT 1 FROM answers WHERE state = 'ended' AND ending = 'failed'"
        await world.until(lambda: len(world.rows(failed)) == 6, "six answers have failed")
        await world.until(lambda: all(map(_retry_is_shown, begun)), "their buttons are there")
        world.models.answer_with("*", answering)
        clicks = [(who, user_chat) for user_chat in begun for who in ("alice", "bob", "carol")]
        await asyncio.gather(*(_retry(who, user_chat) for who, user_chat in clicks))
        await until_settled(world, begun)
        assert {row["attempt"] for row in world.rows("SELECT attempt FROM answers")} == {2}
        assert not [call for call in world.slack.calls if call.error == "ratelimited"]


def _retry_is_shown(user_chat: UserChat) -> bool:
    answers = user_chat.world.answers(user_chat.thread, user_chat.channel)
    return bool(answers and elements(answers[-1], "retry_answer"))


async def _retry(who: str, user_chat: UserChat) -> None:
    with contextlib.suppress(LookupError):  # a late click finds no button any more
        await until_acknowledged(
            lambda: user_chat.world.slack.interactions.press(
                who,
                user_chat.world.answers(user_chat.thread, user_chat.channel)[-1],
                "retry_answer",
            )
        )


def _is_written(user_chat: UserChat) -> bool:
    return any(
        len(shown(message)) > 20
        for message in user_chat.world.answers(user_chat.thread, user_chat.channel)
    )


async def _stop(user_chat: UserChat, number: int) -> None:
    """Stops with the button, or with the word `stop`."""
    if number % 2:
        await user_chat.world.slack.conversations.say(
            user_chat.who, user_chat.channel, "stop", user_chat.thread
        )
    else:
        await until_acknowledged(
            lambda: user_chat.world.slack.interactions.press(
                user_chat.who,
                user_chat.world.header(user_chat.thread, user_chat.channel),
                "stop_answer",
            )
        )


async def _converse(user_chat: UserChat, more: int, *, in_order: bool = False) -> None:
    """`in_order`: each message waits until the one before is stored, on whichever replica."""
    await user_chat.begin()
    for _ in range(more):
        await asyncio.sleep(0.8)
        if in_order:
            await user_chat.until_stored()
        await user_chat.go_on()


async def _slack_is_down(world: Replicas, seconds: float) -> None:
    world.slack.sockets.refuse(seconds)
    await world.slack.sockets.drop()
    fault = world.slack.faults.add("*", "status", status=503, times=-1)
    await asyncio.sleep(seconds)
    world.slack.faults.pending.remove(fault)
