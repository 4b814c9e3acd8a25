"""Prompt caching: a server that keeps marked prefixes, and charges for the rest, charges little."""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from tests.handlers.conftest import WorldFactory
from tests.handlers.world import below
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
)

MODEL = "anthropic/claude-sonnet"
FILLER = " ".join(f"fact{n}" for n in range(700))


class CachingServer:
    """Keeps each prompt up to its marks, byte for byte, and reads the longest that it has kept."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.shares: list[float] = []

    async def __call__(self, received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            entry = {"id": MODEL, "name": "Claude", "context_length": 200_000}
            body = json.dumps({"data": [entry]}).encode()
            await out.answer(body, content_type="application/json")
            return
        messages = received.body["messages"]
        if "title" in json.dumps(messages[0]):
            await out.answer(delta("Many facts", "stop") + DONE)
            return
        usage = self._charge(messages)
        await out.answer(delta("Noted.", "stop") + data({"choices": [], "usage": usage}) + DONE)

    def _charge(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        prefixes, text = [], ""
        for message in messages:
            for part in message["content"]:
                marked = part.pop("cache_control", None) == {"type": "ephemeral"}
                text += json.dumps([message["role"], part])
                prefixes += [text] if marked else []
        assert 1 <= len(prefixes) <= 4
        cached = max((len(prefix) for prefix in prefixes if prefix in self.kept), default=0)
        self.kept |= set(prefixes)
        self.shares.append(cached / len(text))
        return {
            "prompt_tokens": len(text) // 4,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": cached // 4},
        }


async def test_most_of_a_long_chat_is_read_from_the_cache(worlds: WorldFactory) -> None:
    """With several people, and one of them changing their name."""
    caching = CachingServer()
    async with ScriptedServer(caching).running() as server:
        settings = {"openrouter_api_key": SecretStr("sk-or-any"), "openai_api_key": None}
        async with worlds(
            **settings, openrouter_base_url=server.url, openai_base_url=None
        ) as world:
            thread = await world.ask(f"{FILLER} 1")
            await world.slack.interactions.choose(
                "alice", world.menus(thread)[-1], "model_menu", f"openrouter:{MODEL}"
            )
            await world.answered(thread)
            for number in range(2, 14):
                who = "bob" if number % 2 else "alice"
                await world.slack.conversations.say(who, "general", f"{FILLER} {number}", thread)
                await world.answered(thread, number)
                if number == 8:
                    await world.execute("UPDATE people SET name = 'Someone else'")
                    await world.restart()
            await world.idle()
            assert "cached)" in below(world.answers(thread)[-1])
            rows = world.ended(thread)
            assert all(row["cached_tokens"] for row in rows[3:])
            read = sum(row["cached_tokens"] for row in rows[-3:])
            asked = sum(row["prompt_tokens"] for row in rows[-3:])
    assert read / asked >= 0.9
    assert min(caching.shares[4:]) >= 0.75
