"""What a model is sent about the tool calls of earlier answers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from bot.chats.earlier_tool_calls import SHARE_OF_RESULTS
from bot.chats.prompt_size import room_for_prompt
from bot.sandbox.models.scripts import Fault, ModelScript
from bot.usage.estimate import BYTES_PER_TOKEN
from storage.tool_call_history import LEFT_OUT
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World
from tests.tools.talk import asking, calling, reply, roles, script, tooled

Sent = list[dict[str, Any]]


def sent(world: World) -> list[Sent]:
    """The messages in each request."""
    return [[dict(m) for m in asked.messages] for asked in world.models.requests()]


async def test_later_turns_begin_with_the_same_bytes(worlds: WorldFactory, tmp_path: Path) -> None:
    """Calls and results of earlier answers stay as they were sent until there are too many; then old results go
    together.
    """
    async with tooled(worlds, tmp_path) as (world, _):
        script(
            world,
            calling(("look", {"at": "a cat"}), ("fail", {}), saying="Let me look."),
            calling(("look", {"at": "a dog"}), saying="And once more."),
            "A cat and a dog.",
        )
        thread = await world.start("What is there?")
        await world.answered(thread)
        script(world, "Two.")
        await reply(world, thread, "How many?", 2)
        for count in range(3, 9):
            script(world, calling(("big", {})), "Much.")
            await reply(world, thread, "How much?", count)

        requests = sent(world)
        assert roles(requests[3]) == "suattatau"
        assert requests[3][:6] == [*requests[2]][:6]
        assert requests[3][-2]["content"] == "A cat and a dog."
        for before, after in itertools.pairwise(requests[:6]):
            assert after[: len(before)] == before
        context = world.models.models[MODEL].context
        budget = room_for_prompt(context) * SHARE_OF_RESULTS * BYTES_PER_TOKEN
        for messages in requests:
            ids = [call["id"] for m in messages for call in m.get("tool_calls") or ()]
            assert len(ids) == len(set(ids))
            earlier = messages[: max(n for n, m in enumerate(messages) if m["role"] == "user")]
            told = [str(m["content"]) for m in earlier if m["role"] == "tool"]
            assert sum(len(text) for text in told if text != LEFT_OUT) <= budget
        assert LEFT_OUT in str(requests[-1])
        assert "a cat" in str(requests[-1])
        assert "20000 of 5000000" in str(requests[-2])


async def test_models_without_tools_read_what_was_called(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """In the same chat, and in one that asks another model; roles alternate, as strict templates want them."""
    async with tooled(worlds, tmp_path) as (world, _):
        script(world, calling(("look", {"at": "a cat"}), saying="Let me look."), "A cat.")
        thread = await world.start("What is there?")
        await world.answered(thread)

        def without_tools(asked: Any) -> ModelScript | None:
            tells = any(message["role"] == "tool" for message in asked.messages)
            if asked.model == MODEL:
                refused, told = "tools" in asked.body, "This model does not support tools."
            else:
                refused, told = tells, "Conversation roles must alternate user/assistant/user/..."
            fault = Fault("http", status=400, message=told)
            return ModelScript([], fault=fault) if refused else None

        world.models.answer_with("*", without_tools)
        script(world, "As I said.")
        await reply(world, thread, "Again?", 2)
        answer = world.answers(thread)[-1]
        await world.slack.interactions.choose(
            "alice", answer, "ask_another", "openai:demo/storyteller"
        )
        await world.until(lambda: len(world.models.requests()) >= 7, "the other model is asked")
        assert roles(sent(world)[3]) == "suauau"
        assert roles(sent(world)[-1]) == "uauau"
        for messages in (sent(world)[3][1:], sent(world)[-1]):
            assert "Let me look." in messages[1]["content"]
            assert '{"at": "a cat"}' in messages[1]["content"]
            assert "There is a cat." in messages[2]["content"]
            assert messages[3]["content"] == "A cat."
        copied = world.rows("SELECT path, state, notice_ts FROM tool_calls ORDER BY created_at")
        assert len(copied) == 2
        await world.idle()


async def test_an_effect_is_not_repeated_after_a_failure(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """Retry uses the stored results; a new message instead goes to a model that knows about the call."""
    async with tooled(worlds, tmp_path) as (world, server):
        script(world, calling(("add", {"text": "x"})))
        world.fail("http", status=400, message="Not today.")
        thread = await world.start("Add x.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread)

        script(world, "It is there.")
        await reply(world, thread, "Is it?", 2)
        later = sent(world)[-1]
        assert roles(later) == "suatau"
        assert later[3]["content"] == "Added x."
        assert json.loads(later[2]["tool_calls"][0]["function"]["arguments"]) == {"text": "x"}

        script(world, "I added it.")
        (failed,) = [m for m in world.replies(thread) if "retry_answer" in str(m.blocks)]
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await world.until(lambda: "I added it." in str(world.replies(thread)), "the retry")
        assert sent(world)[-1][-1]["content"] == "Added x."
        assert server.effects == ["add x"]
        await world.idle()
