"""A process is killed while a voice clip is transcribed, and while its transcript is shown: it is stored and shown
once.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from bot.sandbox.models.scripts import ModelScript, words
from tests.cluster.processes import Cluster
from tests.fork_server import ForkServer
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_pictures import under_way
from tests.handlers.test_voice_clips import CLIP, SAID, shown


@pytest.mark.slow
async def test_a_kill_loses_and_repeats_no_words(tmp_path: Path, fork_server: ForkServer) -> None:
    environment = {"TEST_RATE_SCALE": "20", "BOBBIN_TRANSCRIBE_MODEL": "openai:demo/ears"}
    async with Cluster(tmp_path, fork_server, environment=environment) as world:
        world.models.answer_with("*", lambda asked: ModelScript(words("I heard.")))
        threads = [await world.start("Hello?") for _ in range(3)]
        for thread in threads:
            await world.answered(thread)
        await world.idle()
        hearing = world.models.hold_clips = asyncio.Event()
        await say_with_files(world, "", CLIP, thread=threads[0])
        await world.until(lambda: world.models.clips, "the first clip is heard")
        world.models.hold_clips = None
        for thread, effect in zip(threads[1:], (False, True), strict=True):
            fault = world.slack.faults.add(
                "chat.postMessage", "hang", seconds=3_600.0, after_effect=effect
            )
            await say_with_files(world, "", CLIP, thread=thread)
            await under_way(world, fault)
        await world.kill(0)
        hearing.set()
        world.models.transcripts += [SAID] * 3
        await world.launch(0)
        for thread in threads:
            await world.answered(thread, 2)
            await world.until(partial(shown, world, thread, ""), "the words")
        await world.idle()
        assert [len(shown(world, thread, "")) for thread in threads] == [1, 1, 1]
        assert len(world.models.clips) == 4
