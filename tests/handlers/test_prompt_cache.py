"""Prompt caching: on a server that caches marked prefixes and charges for the rest, a long chat costs little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from bot.chats.summarizer import SUMMARY_INSTRUCTION
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.user_actions.conversations import Upload
from tests.access.test_channel_settings import ADMINS, save
from tests.documents import samples
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import NOTES, image_file, say_with_files
from tests.handlers.world import World, below
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
)
from tests.slow import slow_after

FILLER = " ".join(f"fact{n}" for n in range(80))
BOOK = Upload("book.txt", " ".join(f"line{n}" for n in range(1_400)).encode(), "text/plain")
PDF = Upload("prices.pdf", samples.pdf("Bobbins cost three euros."), "application/pdf")
WINDOW = 7_000
LEAST = 1_024
"""Tokens: nothing shorter is kept."""
LOOK_BACK = 20
"""Parts before a mark at which what was kept earlier is looked for."""


class CachingServer:
    """Keeps each prompt up to its marks, byte for byte, and reads the longest that it has kept, as Anthropic does.

    It counts four characters as a token. A picture has as many as its base64.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.kept: set[str] = set()
        self.charges: list[tuple[int, int]] = []
        """Of each prompt of an answer, the tokens read from what was kept, and all."""
        self.summaries = 0

    async def __call__(self, received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            entry = {
                "id": self.model,
                "name": "Claude",
                "context_length": WINDOW,
                "max_input_tokens": WINDOW,
                "architecture": {"input_modalities": ["text", "image"]},
            }
            body = json.dumps({"data": [entry]}).encode()
            await out.answer(body, content_type="application/json")
        elif asks_for_title(received.body["messages"]):
            await out.answer(delta("Many facts", "stop") + DONE)
        elif SUMMARY_INSTRUCTION in json.dumps(received.body["messages"][0], ensure_ascii=False):
            self.summaries += 1
            await out.answer(delta(f"Summary {self.summaries}.", "stop") + DONE)
        else:
            usage = self._charge(received.body["messages"])
            await out.answer(delta("Noted.", "stop") + data({"choices": [], "usage": usage}) + DONE)

    def _charge(self, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`system` comes first and may not be repeated; each part is a step of the prefix."""
        prefixes, marks, text = list[str](), list[int](), ""
        for message in messages:
            for part in message["content"]:
                if part.pop("cache_control", None) == {"type": "ephemeral"}:
                    marks.append(len(prefixes))
                text += json.dumps([message["role"], part])
                prefixes.append(text)
        assert 1 <= len(marks) <= 4
        near = {p for mark in marks for p in prefixes[max(0, mark - LOOK_BACK) : mark + 1]}
        cached = max((len(prefix) // 4 for prefix in near & self.kept), default=0)
        self.kept |= {prefixes[mark] for mark in marks if len(prefixes[mark]) // 4 >= LEAST}
        self.charges.append((cached, len(text) // 4))
        return {
            "prompt_tokens": len(text) // 4,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


SERVICES = {"openrouter": "anthropic/claude-sonnet", "anthropic": "claude-sonnet"}


async def live(world: World, model: str, exchanges: int) -> str:
    """A chat of three people with pictures and documents, in a channel with instructions; a name changes meanwhile."""
    await save(world, "Answer in rhymes.")
    question = f"<@{world.slack.bot_user.id}> {FILLER} 1, <@U0DAN>, in <#C0RANDOM>"
    thread = await say_with_files(world, question, BOOK)
    await world.until(lambda: world.menus(thread), "the menu")
    await world.slack.interactions.choose("alice", world.menus(thread)[-1], "model_menu", model)
    await world.answered(thread)
    shared = {
        3: (PDF,),
        5: (image_file("cat.png"), NOTES),
        8: (image_file("dog.jpg", "JPEG"),),
    }
    for number in range(2, exchanges + 1):
        who = ("alice", "bob", "carol")[number % 3]
        await say_with_files(
            world, f"{FILLER} {number}", *shared.get(number, ()), thread=thread, user=who
        )
        await world.answered(thread, number)
        if number == 8:
            await world.execute("UPDATE people SET name = 'Someone else'")
            await world.restart()
    await world.idle()
    return thread


@pytest.mark.parametrize(
    ("service", "exchanges"), slow_after(1, [("anthropic", 6), ("openrouter", 20)])
)
async def test_most_of_a_long_chat_is_read_from_the_cache(
    worlds: WorldFactory, service: str, exchanges: int
) -> None:
    """Through a summary, pictures, documents, a restart, and somebody changing their name."""
    caching = CachingServer(SERVICES[service])
    async with ScriptedServer(caching).running() as server:
        settings: dict[str, Any] = {"openai_base_url": None, "openai_api_key": None, **ADMINS}
        settings |= {f"{service}_base_url": server.url, f"{service}_api_key": SecretStr("sk-any")}
        async with worlds(**settings) as world:
            thread = await live(world, f"{service}:{caching.model}", exchanges)
            rows = world.ended(thread)
            assert [row["status"] for row in rows] == ["done"] * exchanges
            assert "cached)" in below(world.answers(thread)[-1])
            assert [(row["cached_tokens"], row["prompt_tokens"]) for row in rows] == caching.charges
    # The first prompt is new; in the second all authors are named, since a second person has joined.
    read, asked = (sum(column) for column in zip(*caching.charges[2:], strict=True))
    print(read / asked)
    assert read / asked >= 0.9
    assert caching.summaries == (exchanges > 10)
