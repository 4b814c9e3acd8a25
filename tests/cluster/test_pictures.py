"""A process is killed at each stage of showing a picture: it is drawn once and shown once."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, Picture, script_from_text
from tests.cluster.processes import Cluster
from tests.fork_server import ForkServer
from tests.handlers.shared_files import VISION_MODEL, image_bytes
from tests.handlers.test_pictures import PAINTER, UPLOAD, files, under_way

MOMENTS = [(method, effect) for method in UPLOAD for effect in (False, True)]
"""The call in progress when the process dies, and whether Slack has carried it out."""


def answering(asked: Any) -> ModelScript:
    titled = asks_for_title(asked.messages)
    return script_from_text("A boat", 100) if titled else ModelScript([Picture(image_bytes())])


@pytest.mark.slow
async def test_a_kill_while_pictures_are_shown_repeats_and_loses_none(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    environment = {"TEST_RATE_SCALE": "20"}
    async with Cluster(tmp_path, fork_server, environment=environment) as world:
        world.forgive("file_not_found", method="files.info")
        world.models.answer_with("*", answering)
        threads = []
        for method, effect in MOMENTS:
            fault = world.slack.faults.add(method, "hang", seconds=3_600.0, after_effect=effect)
            threads.append(await world.start("Draw a boat.", model=PAINTER))
            await under_way(world, fault)
        await world.kill(0)
        await world.launch(0)
        for thread in threads:
            await world.until(partial(files, world, thread), "the picture")
        await world.idle()
        assert [files(world, thread) for thread in threads] == [[image_bytes()]] * len(MOMENTS)
        drawn = [asked for asked in world.models.requests() if asked.model == PAINTER]
        assert len(drawn) == len(MOMENTS)
        assert len(world.rows("SELECT 1 FROM ledger WHERE kind = 'answer'")) == len(MOMENTS)


def peak(pid: int) -> int:
    """Bytes of memory that the process has had at most since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return (
        int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
        * 1024
    )


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def test_many_chats_with_pictures_at_once_take_the_memory_of_few_pieces(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    chats, size = 8, 5_000_000
    async with Cluster(tmp_path, fork_server, environment={"TEST_RATE_SCALE": "20"}) as world:
        threads = [await world.start("What is this?", model=VISION_MODEL) for _ in range(chats)]
        for thread in threads:
            await world.answered(thread)
            (question, *_) = world.messages(thread)
            for position in range(3):
                row = (question["id"], position, "scan.png", "image/png", bytes(size))
                columns = "message_id, position, name, mime, data"
                await world.execute(
                    f"INSERT INTO attachments ({columns}) VALUES (?, ?, ?, ?, ?)", *row
                )
        await world.idle()
        forget_peak(world.processes[0])
        before = peak(world.processes[0])
        say = world.slack.conversations.say
        await asyncio.gather(*(say("alice", "general", "And now?", each) for each in threads))
        for thread in threads:
            await world.answered(thread, 2)
        sent = [
            str(request.messages).count("data:image/png") for request in world.models.requests()
        ]
        assert sent[-chats:] == [3] * chats
        assert peak(world.processes[0]) - before < chats * size
