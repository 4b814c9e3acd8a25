"""Two replicas on one database, with and without Redis: sockets and posts work on either."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.app import Bot, build
from tests import redis_service
from tests.api.conftest import Api, token_for
from tests.api.test_sockets import TEXT, finished, read_text, socket_of, titled
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.test_voice_clips import CLIP, EARS
from tests.handlers.world import World
from tests.local_http import local_client


@asynccontextmanager
async def two(
    folder: Path, log: io.StringIO, redis: str | None, **settings: Any
) -> AsyncIterator[tuple[World, Bot, Bot]]:
    async with AsyncExitStack() as stack:
        shared: dict[str, Any] = {"redis_url": SecretStr(redis)} if redis else {}
        world = await stack.enter_async_context(World(folder, log, **shared, **settings))
        second = await stack.enter_async_context(build(world.settings(), timing=world.timing))
        assert await second.transport.until_connected()
        world.further_bots.append(second)
        assert world.bot is not None
        yield world, world.bot, second


@asynccontextmanager
async def api_at(bot: Bot, token: str) -> AsyncIterator[Api]:
    headers = {"Authorization": f"Bearer {token}"}
    async with local_client(base_url=bot.url, headers=headers, timeout=WAIT_TIMEOUT) as http:
        yield Api(http, token)


@pytest.mark.redis
async def test_sockets_of_every_replica_receive_each_word_once(
    tmp_path: Path, log: io.StringIO, redis_url: str
) -> None:
    async with two(tmp_path, log, redis_url) as (world, first, second):
        token = await token_for(world)
        async with (
            api_at(first, token) as api,
            socket_of(first.url, token) as here,
            socket_of(second.url, token) as there,
        ):
            world.entitle("Two replicas")
            late_have_read = asyncio.Event()
            world.say(TEXT, rate=20, held_until=late_have_read)
            made = await api.ask("POST", "/new-chat", json={"initial_message": "count"})
            answer = made["assistant_message"]["id"]
            await asyncio.sleep(0.15)
            async with (
                socket_of(second.url, token) as late,
                socket_of(first.url, token) as late_here,
            ):
                for reader in (late, late_here):
                    assert await read_text(reader, answer) == TEXT
                late_have_read.set()
                for reader in (late, late_here):
                    await reader.until(finished)
                    assert reader.text(answer) == TEXT
            for reader in (here, there):
                await reader.until(titled)
                assert reader.events[0]["user_message"] == made["user_message"]
                assert reader.text() == TEXT
                assert reader.events[-1] == {"chat": made["chat"]["id"], "title": "Two replicas"}


@pytest.mark.redis
async def test_text_that_redis_lost_is_delivered_at_the_end(
    tmp_path: Path, log: io.StringIO, own_redis: redis_service.RedisServer
) -> None:
    async with two(tmp_path, log, own_redis.url) as (world, first, second):
        token = await token_for(world)
        async with api_at(first, token) as api, socket_of(second.url, token) as there:
            world.say(TEXT, rate=5)
            made = await api.ask("POST", "/new-chat", json={"initial_message": "count"})
            await there.until(lambda event: bool(there.text()))
            own_redis.stop()
            await there.until(finished)
            assert there.text(made["assistant_message"]["id"]) == TEXT


async def test_a_post_is_answered_when_another_replica_writes_the_answer(
    tmp_path: Path, log: io.StringIO
) -> None:
    async with two(tmp_path, log, None) as (world, first, second):
        token = await token_for(world)
        async with api_at(first, token) as api, api_at(second, token) as other:
            chat = await api.conversation()
            refused = asyncio.Event()
            world.say(TEXT, held_until=refused)
            key = {"Idempotency-Key": "one"}
            waiting = asyncio.create_task(api.say(chat, "count", headers=key))
            await world.until(
                lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"),
                "the answer is being written",
            )
            assert (await other.say(chat, "meanwhile", 409))["error"] == "Conversation busy"
            refused.set()
            again = await other.say(chat, "count", headers=key)
            assert again["assistantMessage"] == (await waiting)["assistantMessage"]
            assert again["assistantMessage"]["content"] == TEXT


async def test_a_clip_that_is_sent_to_both_replicas_is_transcribed_once(
    tmp_path: Path, log: io.StringIO
) -> None:
    async with two(tmp_path, log, None, **EARS) as (world, first, second):
        token = await token_for(world)
        async with api_at(first, token) as here, api_at(second, token) as there:
            made = await here.conversation()
            path = f"/chat/conversations/{made}/messages"
            clip = base64.b64encode(CLIP.content).decode()
            files = [{"name": CLIP.name, "content": clip, "type": "audio/mp4"}]
            body = {"content": "Then:", "files": files}
            same: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": "one"}}
            world.models.transcripts.append("How many?")
            hearing = world.models.hold_clips = asyncio.Event()
            asked = asyncio.ensure_future(here.http.post(path, **same))
            await world.until(lambda: world.models.clips, "the clip is being heard")
            assert (await there.http.post(path, **same)).status_code == 409
            hearing.set()
            answered = [await asked, await there.http.post(path, **same)]
            said = [each.json()["userMessage"] for each in answered]
            assert [each["content"] for each in said] == ["Then:\n\nHow many?"] * 2
            assert len(world.models.clips) == 1
