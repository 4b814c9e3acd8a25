"""A talk with a model that calls tools: what it says and calls, who is asked about it, and what it was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.sandbox.models.scripts import ModelScript, RawBytes, words
from bot.tools.config import parse_tool_config
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, elements
from tests.providers.scripted_server import delta
from tests.tools.servers import CountingServer


@asynccontextmanager
async def tooled(
    worlds: WorldFactory, folder: Path, rules: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[World, CountingServer]]:
    """A world whose models may call the tools of a server."""
    server = CountingServer(folder / "effects")
    async with server.over_http() as url:
        config = {"mcpServers": {"web": {"url": url, **(rules or {})}}}
        async with worlds(tools=parse_tool_config(json.dumps(config), {}), **settings) as world:
            yield world, server


# -- what the model says ---------------------------------------------------------------------------------------------


def calling(
    *calls: tuple[str, dict[str, Any]], saying: str = "", server: str = "web"
) -> ModelScript:
    """A turn of a model that ends with calls of a server's tools."""
    pieces = [
        {"index": n, "id": f"c{n}", "type": "function",
         "function": {"name": f"{server}__{name}", "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(calls)
    ]  # fmt: skip
    return ModelScript(
        [*words(saying), RawBytes(delta(tool_calls=pieces))], finish_reason="tool_calls"
    )


def script(world: World, *turns: ModelScript | str, model: str = MODEL) -> None:
    """The next turns of the model."""
    for turn in turns:
        if isinstance(turn, str):
            world.say(turn, model=model)
        else:
            world.models.queue(model, turn)


# -- what people do --------------------------------------------------------------------------------------------------


async def reply(world: World, thread: str, text: str, count: int, user: str = "alice") -> str:
    """Says something in a thread; the answer to it, which is the thread's `count`th."""
    await world.slack.conversations.say(user, "general", text, thread)
    return (await world.answered(thread, count))[-1]


def asking(world: World, thread: str) -> list[Any]:
    """The messages of the thread that ask about a call."""
    return [m for m in world.replies(thread) if elements(m, "tool_allow_once")]


async def until_parked(world: World) -> None:
    await world.until(
        lambda: world.rows("SELECT 1 FROM answers WHERE parked AND owner IS NULL"), "it is parked"
    )


def states(world: World) -> list[str]:
    """Of all stored calls, in order."""
    rows = world.rows("SELECT state FROM tool_calls ORDER BY answer_id, round, number")
    return [str(row["state"]) for row in rows]


# -- what the model was sent -----------------------------------------------------------------------------------------


def results(world: World) -> list[str]:
    """What the model was told in its last request that its calls returned."""
    return [
        str(message["content"])
        for message in world.models.requests()[-1].messages
        if message["role"] == "tool"
    ]


def offered(world: World) -> set[str]:
    """The tools that the model was told of in its last request."""
    tools = world.models.requests()[-1].body.get("tools", ())
    return {str(each["function"]["name"]) for each in tools}


def roles(messages: Iterable[Mapping[str, Any]]) -> str:
    """The first letters of the messages' roles."""
    return "".join(str(message["role"])[0] for message in messages)
