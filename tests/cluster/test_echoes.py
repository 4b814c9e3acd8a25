"""A process is killed while it shows an API message, and while it tells people why an answer is not shown."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bot import strings
from bot.sandbox.models.scripts import ModelScript, text_of, words
from bot.sandbox.models.server import ModelRequest
from tests.api.conftest import token_for
from tests.api.test_slack_and_api import messages_through_api, section_of
from tests.cluster.processes import Cluster
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer
from tests.handlers.test_never_stuck import direct_messages
from tests.handlers.test_pictures import under_way
from tests.handlers.world import shown
from tests.local_http import local_client

POST = "chat.postMessage"
HANGING = 3_600.0
ENVIRONMENT = {"TEST_RATE_SCALE": "20"}


class Model:
    """Repeats what it is asked, but does not begin while it `hesitates`."""

    hesitates = False

    def __call__(self, asked: ModelRequest) -> ModelScript:
        said = words(f"Re: {text_of(asked.messages[-1])}")
        return ModelScript(said, first_after=HANGING if self.hesitates else 0.0)


async def say(world: Cluster, http: httpx.AsyncClient, thread: str, text: str) -> None:
    """Sends it through the API, whose process may die before it responds."""
    (chat,) = world.rows("SELECT id FROM chats WHERE thread = ?", thread)
    path = f"/chat/conversations/{chat['id']}/messages"
    with suppress(httpx.HTTPError):
        await http.post(path, json={"content": text})


def told(world: Cluster, thread: str) -> list[str]:
    """The texts of the thread's chat in the order in which Slack shows them."""
    echoes = [
        (m.ts, section_of(m).rpartition(": ")[2]) for m in messages_through_api(world, thread)
    ]
    answers = [(m.ts, shown(m)) for m in world.answers(thread)]
    return [text for _, text in sorted(echoes + answers)]


@pytest.mark.slow
async def test_api_messages_are_above_their_answers_after_a_kill(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """Whether or not Slack has posted it when the process dies."""
    async with Cluster(tmp_path, fork_server, environment=ENVIRONMENT) as world:
        model = Model()
        world.models.answer_with("*", model)
        threads = [await world.start(f"first {number}") for number in range(2)]
        for thread in threads:
            await world.answered(thread)
        await world.idle()
        model.hesitates = True
        async with await client_of(world, tmp_path) as http, asyncio.TaskGroup() as saying:
            for number, effect in enumerate((False, True)):
                fault = world.slack.faults.add(POST, "hang", seconds=HANGING, after_effect=effect)
                saying.create_task(say(world, http, threads[number], f"second {number}"))
                await under_way(world, fault)
            await world.kill(0)
        model.hesitates = False
        await world.launch(0)
        for thread in threads:
            await world.answered(thread, 2)
        async with await client_of(world, tmp_path) as http:
            for number, thread in enumerate(threads):
                await say(world, http, thread, f"third {number}")
                await world.answered(thread, 3)
        await world.until(lambda: not world.chores(), "the after-work")
        for number, thread in enumerate(threads):
            first, second, third = (f"{nth} {number}" for nth in ("first", "second", "third"))
            expected = [f"Re: {first}", second, f"Re: {second}", third, f"Re: {third}"]
            assert told(world, thread) == expected


async def client_of(world: Cluster, folder: Path) -> httpx.AsyncClient:
    """A client of the API of the process that was started last."""
    log = (folder / "process0.log").read_text().splitlines()
    lines = [json.loads(line) for line in log if "http_listening" in line]
    token = await token_for(world)
    headers = {"Authorization": f"Bearer {token}"}
    return local_client(base_url=lines[-1]["url"], headers=headers, timeout=WAIT_TIMEOUT)


@pytest.mark.slow
async def test_the_reason_an_answer_is_not_shown_is_told_once_despite_a_kill(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    async with Cluster(tmp_path, fork_server, environment=ENVIRONMENT) as world:
        world.forgive("is_archived")
        world.models.answer_with("*", lambda asked: ModelScript(words("Nobody sees it.")))
        thread = await world.ask("Say it.")
        telling = world.slack.faults.add(POST, "hang", channel="U0ALICE", seconds=HANGING)
        for method in (POST, "chat.startStream"):
            world.slack.faults.add(method, error="is_archived", channel="C0GENERAL", times=-1)
        await world.choose(thread)
        await under_way(world, telling)
        await world.kill(0)
        await world.launch(0)
        await world.until(lambda: direct_messages(world, "alice"), "the direct message")
        await world.until(lambda: not world.chores(), "the after-work")
        sentence = strings.CANNOT_WRITE["is_archived"].format(channel="C0GENERAL")
        assert direct_messages(world, "alice") == [sentence]
        assert world.ended(thread)[0]["status"] == "done"
