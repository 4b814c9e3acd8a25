"""When a token ends, its sockets and streams are closed immediately in every replica, and no others are."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import Api, WorldFactory, address, token_for
from tests.api.test_replicas import two
from tests.api.test_sockets import Reader, socket_of
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.two_workspaces import TwoWorkspaces
from tests.handlers.world import World


async def cut_off(reader: Reader) -> None:
    """Wait for the end of the socket, for less time than passes until the bot checks its token unasked."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(ConnectionClosed):
            await reader.until(lambda _: False)
    assert (reader.socket.close_code, reader.socket.close_reason) == (4401, "Unauthorized")


async def alive(reader: Reader) -> None:
    await reader.socket.send(json.dumps({"ping": 1}))
    assert json.loads(await reader.socket.recv()) == {"pong": 1}


async def test_a_revoked_token_closes_its_sockets_at_once(
    world: World, api: Api, bobs: Api
) -> None:
    where = address(world)
    async with (
        socket_of(where, api.token) as one,
        socket_of(where, api.token) as two,
        socket_of(where, bobs.token) as b,
    ):
        await world.slack.interactions.command("alice", "general", "/chats", "token revoke")
        await asyncio.gather(cut_off(one), cut_off(two))
        await alive(b)


async def test_a_revoked_token_ends_a_stream_but_not_its_answer(world: World, api: Api) -> None:
    chat = await api.conversation()
    cut_off = asyncio.Event()
    world.say(" ".join(map(str, range(60))), rate=30, held_until=cut_off)
    path, events = f"/chat/conversations/{chat}/messages", []
    async with api.http.stream(
        "POST", path, json={"content": "hi"}, headers={"Accept": "text/event-stream"}
    ) as answer:
        async for line in answer.aiter_lines():
            events.append(line)
            if events.count("event: token") == 3:
                await world.slack.interactions.command("alice", "general", "/chats", "token revoke")
    assert events[-3] == "event: failed"
    assert json.loads(events[-2].removeprefix("data: "))["error"] == "Unauthorized"
    cut_off.set()
    await world.idle()
    assert world.rows("SELECT status FROM messages WHERE role = 'assistant'")[0]["status"] == "done"


async def test_a_revoked_token_ends_a_waiting_request_but_not_its_answer(
    world: World, api: Api
) -> None:
    chat = await api.conversation()
    refused = asyncio.Event()
    world.say(" ".join(map(str, range(60))), held_until=refused)
    said = asyncio.ensure_future(
        api.http.post(f"/chat/conversations/{chat}/messages", json={"content": "hi"})
    )
    await world.until(
        lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"),
        "the answer is being written",
    )
    await world.slack.interactions.command("alice", "general", "/chats", "token revoke")
    response = await said
    assert (response.status_code, response.json()["error"]) == (401, "Unauthorized")
    assert (
        world.rows("SELECT status FROM messages WHERE role = 'assistant'")[0]["status"] == "running"
    )
    refused.set()
    await world.idle()
    assert world.rows("SELECT status FROM messages WHERE role = 'assistant'")[0]["status"] == "done"


async def test_tokens_are_rechecked_at_an_interval(
    worlds: WorldFactory,
) -> None:
    async with (
        worlds(timing=patient_timing(token_recheck_interval=0.05)) as world,
        socket_of(address(world), await token_for(world)) as reader,
    ):
        await alive(reader)
        await world.execute("UPDATE api_tokens SET revoked_at = CURRENT_TIMESTAMP")
        await cut_off(reader)


@pytest.mark.redis
async def test_a_revoked_token_closes_sockets_in_every_replica(
    tmp_path: Path, log: io.StringIO, redis_url: str
) -> None:
    async with two(tmp_path, log, redis_url) as (world, first, second):
        token, bobs = await token_for(world), await token_for(world, "bob")
        async with (
            socket_of(first.url, token) as here,
            socket_of(second.url, token) as there,
            socket_of(second.url, bobs) as other,
        ):
            await world.slack.interactions.command("alice", "general", "/chats", "token revoke")
            await asyncio.gather(cut_off(here), cut_off(there))
            await alive(other)


async def test_removing_the_app_closes_the_sockets_of_that_workspace_only(
    tmp_path: Path, log: io.StringIO
) -> None:
    async with TwoWorkspaces(tmp_path, log) as workspaces:
        for workspace in (workspaces.slack, workspaces.second):
            await workspaces.install(workspace)
        tokens = [await token_for(workspaces), await token_for(workspaces.other)]
        async with (
            socket_of(workspaces.url, tokens[0]) as one,
            socket_of(workspaces.url, tokens[1]) as other,
        ):
            await workspaces.uninstall(workspaces.slack)
            await cut_off(one)
            await alive(other)
            workspaces.reply_to({"two?": "Answer two."})
            await workspaces.other.answered(await workspaces.other.start("two?"))
            received = [json.loads(await other.socket.recv()) for _ in range(2)]
            assert [sorted(event) for event in received] == [
                ["assistant_message", "chat", "user_message"],
                ["chat", "content", "message"],
            ]
        await workspaces.idle()


async def test_removing_the_app_from_an_organisation_closes_its_sockets(
    tmp_path: Path, log: io.StringIO
) -> None:
    async with TwoWorkspaces(tmp_path, log, enterprise="E0ORG") as workspaces:
        await workspaces.install(workspaces.slack, workspaces.second, enterprise="E0ORG")
        token = await token_for(workspaces)
        assert re.fullmatch(r"bob_[\w-]{43}", token)
        async with socket_of(workspaces.url, token) as one:
            await workspaces.uninstall(workspaces.slack)
            await cut_off(one)
