"""Pictures returned by tools, through the whole product: checked, reduced, sent, stored and left out."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.answers.tool_pictures import BUDGET, UNREADABLE
from bot.chats.attachments.images import MAX_SENT_BYTES
from bot.chats.retention import Eraser
from bot.domain.tool_calls import PICTURES_LEFT_OUT
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, script_from_text, words
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.erasure import Erasure, Selection
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import VISION_MODEL, image_bytes, sent_images
from tests.handlers.world import MODEL
from tests.tools.talk import calling, reply, results, roles, script, tooled
from tests.tools.test_kills import kill_and_start_again, tooled_cluster

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


script_seeing = partial(script, model=VISION_MODEL)


def large_png() -> bytes:
    """More than five megabytes."""
    edge, written = 1350, io.BytesIO()
    noise = Image.frombytes("RGB", (edge, edge), os.urandom(edge * edge * 3))
    noise.save(written, "PNG", compress_level=0)
    return written.getvalue()


async def test_pictures_in_results_reach_models_that_see(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """An intact one, a broken one, one of 5 MB and one that is not a picture; after a failure the model gets the same
    ones.
    """
    async with tooled(worlds, tmp_path) as (world, server):
        png, large = image_bytes(), large_png()
        assert len(large) > 5_000_000
        server.pictures = [
            ("image/png", png), ("image/png", png[:60]), ("image/svg+xml", SVG), ("image/png", large),
        ]  # fmt: skip
        script_seeing(
            world, calling(("show", {})), ModelScript(["Never"], fault=Fault("http", status=401))
        )
        thread = await world.start("What is there?", model=VISION_MODEL)
        await world.answered(thread)
        script_seeing(world, "A square.")
        await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
        await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the answer")

        first, again = sent_images(world, -2), sent_images(world)
        assert first == again == [("PNG", (60, 40)), ("JPEG", (1350, 1350))]
        assert roles(world.models.requests()[-1].messages) == "suatau"
        told = results(world)[0]
        assert told.startswith(
            "What there is:\n\n[Picture 1]\n\n[Picture 2]\n\n[Picture 3]\n\n[Picture 4]"
        )
        assert told.count(UNREADABLE) == 2
        assert server.effects == ["show"]
        stored = world.rows(
            "SELECT name, length(data) AS size FROM tool_pictures ORDER BY position"
        )
        assert [row["name"] for row in stored] == ["Picture 1", "Picture 4"]
        assert all(row["size"] <= MAX_SENT_BYTES for row in stored)

        script_seeing(world, "Two.", "Three.")
        await reply(world, thread, "And?", 2)
        asked = [dict(m) for m in world.models.requests()[-1].messages]
        await reply(world, thread, "And?", 3)
        assert [dict(m) for m in world.models.requests()[-1].messages][: len(asked)] == asked
        assert sent_images(world) == []
        assert results(world)[0].endswith(PICTURES_LEFT_OUT)


async def test_pictures_keep_within_their_budget_and_go_with_the_chat(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """At most a few per call; old ones of an answer are left out; copied with a chat, and erased with it."""
    async with tooled(worlds, tmp_path) as (world, server):
        server.pictures = [("image/png", image_bytes(size=(9, n + 1))) for n in range(5)]
        script_seeing(
            world, calling(("show", {})), calling(("show", {}), ("show", {})), "Many squares."
        )
        thread = await world.start("What is there?", model=VISION_MODEL)
        await world.answered(thread)

        assert len(sent_images(world, 1)) == 4
        assert len(sent_images(world)) == BUDGET.count // 2
        assert [told.endswith(PICTURES_LEFT_OUT) for told in results(world)] == [True, True, False]
        assert "not passed on" in results(world)[-1]

        assert len(world.rows("SELECT 1 FROM tool_pictures")) == 12
        script_seeing(world, "As I said.")
        await reply(world, thread, "Again?", 2)
        script_seeing(world, "Squares.", model="demo/storyteller")
        await world.slack.interactions.choose(
            "alice", world.answers(thread)[-1], "ask_another", "openai:demo/storyteller"
        )
        await world.until(
            lambda: world.models.requests()[-1].model == "demo/storyteller", "the other is asked"
        )
        assert str(world.models.requests()[-1].messages).count(PICTURES_LEFT_OUT) == 3
        assert len(world.rows("SELECT 1 FROM tool_pictures")) == 24
        await world.idle()

        database = Database.open(f"sqlite:///{world.database}")
        await Eraser(Erasure(database)).erase(Selection(before=utc_now() + timedelta(days=1)))
        await database.close()
        assert world.rows("SELECT 1 FROM tool_pictures") == []


async def test_models_that_do_not_see_are_told_of_pictures(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    async with tooled(worlds, tmp_path) as (world, server):
        server.pictures = [("image/png", image_bytes())] * 2
        script_seeing(world, calling(("show", {})), "Nothing.", model=MODEL)
        thread = await world.start("What is there?")
        await world.answered(thread)

        assert results(world)[0].startswith("What there is:\n\n[Not passed on: image/png]")
        assert sent_images(world) == []
        assert world.rows("SELECT 1 FROM tool_pictures") == []


@pytest.mark.slow
async def test_a_kill_before_the_next_question_loses_no_picture(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The next process sends the same picture, and repeats no call."""
    asked: list[Any] = []

    def answering(received: Any) -> ModelScript:
        if asks_for_title(received.messages):
            return script_from_text("A short title", 100)
        if not any(message["role"] == "tool" for message in received.messages):
            return calling(("show", {}))
        asked.append(received)
        return ModelScript(words("A square."), first_after=600.0 if len(asked) == 1 else 0.0)

    async with tooled_cluster("sqlite", request, tmp_path) as (world, server):
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict", "no_reaction")
        server.pictures = [("image/png", image_bytes())]
        world.models.answer_with("*", answering)
        logs = [tmp_path / f"process{number}.log" for number in range(2)]
        await world.until(
            lambda: all("tool_server_open" in log.read_text() for log in logs), "tools are there"
        )
        thread = await world.start("What is there?", model=VISION_MODEL)
        await world.until(lambda: asked, "the model is asked with the result")
        await kill_and_start_again(world, "", all_of_them=True)
        await world.until(lambda: world.ended(thread), "the answer has ended")

        assert server.effects == ["show"]
        assert [roles(each.messages) for each in asked] == ["suatau", "suatau"]
        assert asked[0].messages == asked[1].messages
        assert "data:image/png;base64," in str(asked[1].messages[-1])
        await world.idle()
