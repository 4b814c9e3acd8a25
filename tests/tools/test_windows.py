"""What models are sent if tool definitions are long: as many as fit beside the chat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import strings
from bot.chats.prompt_size import SHARE_OF_TOOLS, room_for_prompt
from bot.sandbox.models.demo import DemoModel, asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, script_from_text, text_of, words
from bot.sandbox.models.server import ModelServer
from bot.tools.config import parse_tool_config
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_long_chats import SUMMARY, asks_for_summary, grow
from tests.handlers.world import MODEL, below
from tests.tools.servers import CountingServer
from tests.tools.talk import offered, reply

BYTES = 4
"""The length of one token of the model here."""


def tokens(asked: Any) -> int:
    """What its server counts of a request."""
    said = "".join(text_of(message) for message in asked.messages)
    return len(said + json.dumps(asked.body.get("tools", []))) // BYTES


@pytest.mark.parametrize(
    ("window", "at_most"), [(60_000, 60), (8_000, 20), (500, 0)], ids=["wide", "small", "tiny"]
)
async def test_tools_leave_room_for_the_chat(
    worlds: WorldFactory, tmp_path: Path, window: int, at_most: int
) -> None:
    """The first ones are offered, the person is told about the others, and no prompt is too long for the model."""

    def model(asked: Any) -> ModelScript:
        if asks_for_title(asked.messages):
            return ModelScript(words("Many apples"))
        if tokens(asked) > window:
            message = f"This model's maximum context length is {window} tokens."
            return ModelScript([], fault=Fault("http", status=400, message=message))
        return ModelScript(words(SUMMARY if asks_for_summary(asked) else "Well."), usage=False)

    server = CountingServer(tmp_path / "effects")
    for number in range(50):
        server.app.add_tool(server.look, name=f"a{number:02}", description="It looks. " * 80)
    listed = DemoModel(MODEL, "Counting", lambda question: script_from_text("Yes", 5000))
    models = ModelServer([replace(listed, context=window)], words_per_second=5000.0)
    async with server.over_http() as url:
        config = parse_tool_config(json.dumps({"mcpServers": {"web": {"url": url}}}), {})
        async with worlds(tools=config, models=models) as world:
            models.answer_with(MODEL, model)
            thread = await world.start("Hello?")
            assert await world.answered(thread) == ["Well."]
            assert len(offered(world)) <= at_most
            told = strings.TOOLS_LEFT_OUT in str(world.answers(thread)[-1])
            assert told is (at_most < 60)
            (asked,) = [each for each in models.requests() if not asks_for_title(each.messages)]
            definitions = len(json.dumps(asked.body.get("tools", [])))
            assert definitions / BYTES <= room_for_prompt(window) * SHARE_OF_TOOLS
            if at_most == 20:  # the space that the tools leave is full after a few turns
                await grow(world, thread, 40)
                await reply(world, thread, "And now?", 2)
                assert "summarised" in below(world.answers(thread)[-1])
            await world.idle()
