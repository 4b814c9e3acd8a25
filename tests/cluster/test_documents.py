"""A process is killed while it reads a document: the next one reads it again, and answers once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text, text_of
from tests.cluster.processes import Cluster
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_documents import PDF
from tests.handlers.world import shown

READ, UNREAD = "It says three euros.", "I see no document."


def answering(asked: Any) -> ModelScript:
    if asks_for_title(asked.messages):
        return script_from_text("Prices", 100)
    read = "Bobbins cost three euros." in text_of(asked.messages[-1])
    return script_from_text(READ if read else UNREAD, 100)


def readers(pid: int) -> Iterator[int]:
    """The processes in which a process reads documents."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for child in (thread / "children").read_text().split():
                if b"bot.documents.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield int(child)


def is_standing(pid: int) -> bool:
    """Whether a process was stopped and can go on."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


async def reading_is_held(world: Cluster, thread: str) -> int:
    """Shares documents until one is held while it is being read; returns the id of the process that reads it.

    One that was read sooner than it was noticed is answered, and another shared.
    """
    while True:
        count = len(world.ended(thread))
        await say_with_files(world, "What does it say?", PDF, thread=thread)
        while len(world.ended(thread)) == count:
            for reader in readers(world.processes[0]):
                with suppress(ProcessLookupError):
                    os.kill(reader, signal.SIGSTOP)
                if is_standing(reader):
                    return reader
            await asyncio.sleep(0.002)


async def test_a_kill_while_a_document_is_read_answers_with_it_once(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    async with Cluster(tmp_path, fork_server) as world:
        world.models.answer_with("*", answering)
        thread = await world.start("Hello.")
        await world.answered(thread)
        await world.idle()
        reader = await asyncio.wait_for(reading_is_held(world, thread), WAIT_TIMEOUT)
        asked = len(world.models.requests())
        await world.kill(0)
        os.kill(reader, signal.SIGKILL)
        before = len(world.ended(thread))
        await world.launch(0)
        assert (await world.answered(thread, before + 1))[-1] == READ
        await world.idle()
        assert len(world.models.requests()) == asked + 1
        assert [shown(message) for message in world.answers(thread)] == [UNREAD, *[READ] * before]
