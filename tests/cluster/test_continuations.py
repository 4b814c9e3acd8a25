"""`Continue in a new chat` with replicas on PostgreSQL and Redis: one new chat, whoever presses or is killed."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.errors import NotAcknowledged
from bot.sandbox.models.scripts import Fault, ModelScript, words
from bot.sandbox.state.records import Message
from tests.cluster.processes import until_acknowledged
from tests.cluster.replicas import Replicas, UserChat, answering, user_chats
from tests.fork_server import ForkServer
from tests.handlers.test_continue_in_new_chat import SUMMARY, summarising
from tests.handlers.world import elements

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
ROW = "SELECT * FROM chats WHERE continues IS NOT NULL"


async def failed_chat(world: Replicas) -> tuple[UserChat, Message]:
    """A chat whose only answer offers the button, and that answer."""
    world.models.answer_with("*", lambda asked: ModelScript([], fault=Fault("http", status=402)))
    (user_chat,) = user_chats(world, 1, 1)
    await user_chat.begin()

    def offering() -> Any:
        answers = world.answers(user_chat.thread, user_chat.channel)
        return next((m for m in answers if elements(m, "continue_chat")), None)

    return user_chat, await world.until(offering, "the button")


def answering_with(script: ModelScript) -> Any:
    summary = summarising(script)
    return lambda asked: summary(asked) or answering(asked)


def summaries_asked(world: Replicas) -> int:
    asked = summarising(ModelScript([]))
    return sum(asked(request) is not None for request in world.models.journal)


def roots(world: Replicas, channel: str) -> list[Message]:
    messages = world.slack.workspace.channel(channel).messages.values()
    return [m for m in messages if m.user == world.slack.bot_user.id and m.thread_ts is None]


async def press(world: Replicas, who: str, message: Message) -> None:
    await until_acknowledged(lambda: world.slack.interactions.press(who, message, "continue_chat"))


async def one_thread(world: Replicas, user_chat: UserChat) -> None:
    await world.until(lambda: [r for r in world.rows(ROW) if r["thread"]], "the thread is stored")
    await world.idle()
    (row,) = world.rows(ROW)
    (root,) = roots(world, user_chat.channel)
    assert (row["thread"], row["context"]) == (root.ts, SUMMARY)
    header = world.header(user_chat.thread, user_chat.channel)
    assert "Continued in <" in str(header.blocks)


@pytest.mark.slow
async def test_pressed_on_all_replicas_at_once_it_is_one_chat(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str
) -> None:
    async with Replicas(tmp_path, fork_server, postgresql_url, redis_url, count=2) as world:
        world.slack.faults.copies = 2
        user_chat, failed = await failed_chat(world)
        world.models.answer_with("*", answering_with(ModelScript(words(SUMMARY))))
        people = ("alice", "bob", "carol", "dan") * 2
        await asyncio.gather(*(press(world, who, failed) for who in people))
        await one_thread(world, user_chat)
        assert summaries_asked(world) == 1


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["post", "summary", "posted"])
async def test_a_kill_in_the_middle_is_taken_up_by_another_replica(
    tmp_path: Path, fork_server: ForkServer, postgresql_url: str, redis_url: str, moment: str
) -> None:
    """While the summary is written; while Slack is posting it; when it stands there and no row knows it."""
    async with Replicas(tmp_path, fork_server, postgresql_url, redis_url, count=1) as world:
        user_chat, failed = await failed_chat(world)
        never = ModelScript(["Never."], first_after=600.0)
        ready = ModelScript(words(SUMMARY))
        world.models.answer_with("*", answering_with(never if moment == "summary" else ready))
        if moment != "summary":
            world.slack.faults.add(
                "chat.postMessage",
                mode="slow" if moment == "posted" else "hang",
                after_effect=moment == "posted",
                seconds=600.0,
                channel=user_chat.channel,
            )
        with contextlib.suppress(NotAcknowledged):
            await world.slack.interactions.press("bob", failed, "continue_chat")
        if moment == "summary":
            await world.until(lambda: summaries_asked(world), "the summary is asked for")
        elif moment == "post":
            await world.until(
                lambda: any(row["context"] for row in world.rows(ROW)), "the summary is stored"
            )
        else:
            await world.until(lambda: roots(world, user_chat.channel), "it stands there")
        await world.kill(0)
        world.slack.faults.clear()
        world.models.answer_with("*", answering_with(ready))
        await world.launch(0)
        await one_thread(world, user_chat)
