"""A process is killed while a tool that counts is called: no effect happens twice, and none is kept quiet."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text, text_of, words
from tests.cluster.processes import Cluster, ForkServer, until_acknowledged
from tests.slow import slow_after
from tests.tools.servers import CountingServer
from tests.tools.test_calls import asking, calling


def answering(asked: Any) -> ModelScript:
    """Looks first, then adds a line that names the question, then tells."""
    if asks_for_title(asked.messages):
        return script_from_text("A short title", 100)
    number = next(text_of(m) for m in reversed(asked.messages) if m["role"] == "user").rpartition(
        " "
    )[2]
    returned = sum(m["role"] == "tool" for m in asked.messages[-4:])
    if returned == 0:
        return calling(("look", {"at": number}))
    if returned == 1:
        return calling(("add", {"text": number}))
    return ModelScript(words(f"Finished {number}."))


async def allowed(world: Cluster, question: str) -> str:
    """The thread of a question whose call the asker has just allowed."""
    thread = await world.start(question)
    (message,) = await world.until(partial(asking, world, thread), "the question")
    press = world.slack.interactions.press
    await until_acknowledged(partial(press, "alice", message, "tool_allow_once"))
    return thread


@pytest.mark.parametrize("kills", slow_after(1, [3, 50]))
async def test_kills_make_no_call_twice(
    tmp_path: Path, fork_server: ForkServer, thorough: bool, kills: int
) -> None:
    """Counted effects are approved calls, at most once each; one of unknown outcome is told to the thread."""
    chance = random.Random(secrets.randbelow(10_000) if thorough else 2)
    server = CountingServer(tmp_path / "effects")
    server.pace = 0.05
    async with server.over_http() as url:
        file = tmp_path / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {"web": {"url": url}}}))
        environment = {"BOBBIN_MCP_CONFIG": str(file)}
        async with Cluster(tmp_path, fork_server, processes=2, environment=environment) as world:
            world.forgive(
                "message_not_in_streaming_state", "streaming_state_conflict", "no_reaction"
            )
            world.models.answer_with("*", answering)
            for number in range(1, kills + 1):
                thread = await allowed(world, f"Add number {number}")
                await asyncio.sleep(chance.uniform(0.0, 0.15))
                await world.kill(number % 2)
                await world.launch(number % 2)
                await world.connected(2)
                await world.until(partial(world.ended, thread), f"answer {number} has ended")
            await world.idle()

            added = [effect for effect in server.effects if effect.startswith("add")]
            assert len(added) == len(set(added))
            rows = world.rows("SELECT arguments, state FROM tool_calls WHERE path = 'web/add'")
            states = {json.loads(row["arguments"])["text"]: row["state"] for row in rows}
            assert len(states) == kills
            done = {f"add {text}" for text, state in states.items() if state == "done"}
            assert set(states.values()) <= {"done", "unknown"}
            assert done <= set(added)
            told = str(world.slack.workspace.channel("general").messages)
            unknown = [text for text, state in states.items() if state == "unknown"]
            assert told.count("don't know whether") >= len(unknown)
