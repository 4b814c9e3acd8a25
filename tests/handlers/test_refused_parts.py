"""Combinations of parts that a model may refuse: how often it is asked, what is left out, and that no answer begins
twice.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from bot.config.chats import SearchMode
from tests.api.conftest import client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.test_documents import SCAN
from tests.handlers.test_scans import HI, parts
from tests.handlers.test_web_search import provider, searches
from tests.handlers.world import World
from tests.providers.scripted_server import (
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    data,
    delta,
    responding,
    streaming,
)

CALL = {"index": 0, "id": "1", "function": {"name": "look", "arguments": '{"a'}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
BEGINNINGS: dict[str, bytes] = {
    "begun-text": delta("Half the answer, "),
    "begun-reasoning": delta(reasoning="Let me see."),
    "begun-picture": delta(images=[PICTURE]),
    "begun-call": delta(tool_calls=[CALL]),
}
"""What an answer may begin with, by the model that does."""
SAID: dict[str, tuple[int, str]] = {
    "plain": (400, "Bad request"),
    "gone": (404, "No endpoints found for any/gone."),
    "unknown": (404, "The model `unknown` does not exist"),
    "parameters": (404, "No endpoints found that can handle the requested parameters."),
    "search": (400, "Web search is not supported for this model."),
    "file": (404, "No endpoints found that support file input"),
    "thinking-search": (400, "Web search is not supported for any/thinking-search."),
    "wordy": (400, "Bad profile: research the documentation at https://x.example/web/file/search."),
    "guessed": (400, "Invalid request parameters"),
}
EFFORT, SEARCH, FILE = "effort", "search", "file"
ALL = [EFFORT, SEARCH, FILE]
ASKED: dict[str, list[list[str]]] = {
    "plain": [ALL, [SEARCH, FILE], [FILE], []],
    "wordy": [ALL, [SEARCH, FILE], [FILE], []],
    "gone": [ALL],
    "unknown": [ALL],
    "parameters": [ALL, [SEARCH, FILE], [FILE], []],
    "search": [ALL, [EFFORT, FILE], [EFFORT, FILE]],
    "file": [ALL, [EFFORT, SEARCH], [EFFORT, SEARCH]],
    "thinking-search": [ALL, [EFFORT, FILE], [EFFORT, FILE]],
    "guessed": [ALL, [SEARCH, FILE], [FILE], [EFFORT, FILE]],
    **{model: [ALL] for model in BEGINNINGS},
}
"""What each request has that a model gets: for two messages if the first is answered."""


def has(body: Mapping[str, Any]) -> list[str]:
    found = {EFFORT: "reasoning" in body, SEARCH: searches(body), FILE: bool(parts(body))}
    return [name for name, there in found.items() if there]


def answer_of(body: Mapping[str, Any]) -> Behaviour:
    model = body["model"].removeprefix("any/")
    if model in BEGINNINGS:
        refusal = data({"error": {"message": "Invalid request parameters", "code": 400}})
        return streaming(BEGINNINGS[model], refusal)
    refused: list[str] | None = {
        "search": [SEARCH], "thinking-search": [SEARCH], "guessed": [SEARCH], "file": [FILE],
    }.get(model)  # fmt: skip
    if refused is not None and not set(refused) & set(has(body)):
        return HI
    status, message = SAID[model]
    return responding({"error": {"message": message, "code": status}}, status)


async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
    await answer_of(received.body)(received, out)


async def ask(world: World, http: Any, model: str) -> str:
    """Asks it in a new chat with everything; the status of the answer."""
    chosen = {"model": f"openrouter:any/{model}", "search": True, "reasoning": "high"}
    made = (await http.post("/chat/conversations", json=chosen)).json()["conversation"]["id"]
    content = base64.b64encode(SCAN.content).decode()
    body = {"content": "Read it.", "files": [{"name": "scan.pdf", "content": content}]}
    await http.post(f"/chat/conversations/{made}/messages", json=body)
    await world.idle()
    query = f"SELECT status FROM messages WHERE role = 'assistant' AND chat_id = '{made}'"
    (row,) = world.rows(query)
    return str(row["status"])


async def test_each_part_is_left_out_once_at_most_and_no_answer_begins_twice(
    worlds: WorldFactory,
) -> None:
    described = [
        {"id": f"any/{model}", "supported_parameters": ["reasoning", "tools"]} for model in ASKED
    ]
    async with scripted_world(worlds, behaviour, models=responding({"data": described})) as (
        world,
        server,
    ):
        await world.restart(bobbin_web_search=SearchMode.ASK, **provider("openrouter", server.url))
        async with client(world, await token_for(world)) as http:
            for model, expected in ASKED.items():
                before = len(questions(server))
                done = await ask(world, http, model) == "done"
                if done:
                    assert await ask(world, http, model) == "done"
                asked = [has(body) for body in questions(server)[before:]]
                assert (model, asked, done) == (
                    model,
                    expected,
                    expected[-1] != [] and len(expected) > 1,
                )
        rows = world.rows("SELECT model, kind FROM ledger WHERE kind = 'answer'")
        assert len(rows) == len(ASKED) + 4
