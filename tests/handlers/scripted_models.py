"""The whole product in front of a model server that sends bytes chosen by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bot.sandbox.models.demo import asks_for_title
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World
from tests.providers.scripted_server import (
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    responding,
)

NO_TITLE = responding({"error": "no titles here"}, 400)


@asynccontextmanager
async def scripted_world(
    worlds: WorldFactory,
    answer: Behaviour,
    *,
    title: Behaviour = NO_TITLE,
    models: Behaviour | None = None,
    **options: Any,
) -> AsyncIterator[tuple[World, ScriptedServer]]:
    """A world whose only model answers as `answer` says, and names conversations as `title` says."""
    listed = models or responding({"data": [{"id": MODEL}, {"id": "other/model"}]})

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            await listed(received, out)
        elif asks_for_title(received.body["messages"]):
            await title(received, out)
        else:
            await answer(received, out)

    async with (
        ScriptedServer(behaviour).running() as server,
        worlds(openai_base_url=server.url, **options) as world,
    ):
        yield world, server


def questions(server: ScriptedServer) -> list[Mapping[str, Any]]:
    """The bodies of the requests for answers, titles aside."""
    return [
        each.body
        for each in server.received
        if each.method == "POST" and not asks_for_title(each.body["messages"])
    ]
