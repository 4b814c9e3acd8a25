"""A sandbox continues where it was: after a proper end, after a kill, and never twice at once on the same file."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from bot.sandbox import Limits, Sandbox, Upload, WorkspaceFile, WorkspaceFileError
from tests.bot.program import Bobbin
from tests.deadlines import DEADLINE_SCALE, WAIT_TIMEOUT
from tests.fork_server import ForkedProgram, ForkServer
from tests.sandbox.conftest import client_of

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Pick one"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.workspace.sqlite3"


@asynccontextmanager
async def kept(path: Path, limits: Limits | None = None) -> AsyncIterator[Sandbox]:
    async with Sandbox(limits=limits or Limits.off(), file=WorkspaceFile.open(path)) as slack:
        yield slack


def shown(slack: Sandbox, user: str) -> Any:
    """What the page shows a person, without what depends on the process."""
    answer = httpx.get(f"{slack.url}/sandbox/state", params={"user": user}, trust_env=False)
    return {**answer.json(), "bot": None, "ephemerals": None, "statuses": None}


async def seen_by(slack: Sandbox, user: str) -> Any:
    return await asyncio.to_thread(shown, slack, user)


async def live_a_little(slack: Sandbox) -> None:
    """A bit of everything that a workspace can hold."""
    async with aiohttp.ClientSession() as session:
        web = client_of(slack, session)
        picture = Upload("cat.png", b"\x89PNG\x00\xff", "image/png")
        root = await slack.conversations.say(
            "alice", "general", "Look <b> & think", files=[picture]
        )
        await slack.conversations.say("bob", "general", "Nice.", root)
        posted = await web.chat_postMessage(
            channel="C0GENERAL", thread_ts=root, text="Pick", blocks=[SECTION]
        )
        await web.chat_update(channel="C0GENERAL", ts=posted["ts"], markdown_text="**Picked**")
        await web.reactions_add(channel="C0GENERAL", timestamp=root, name="eyes")
        direct = await web.conversations_open(users="U0CAROL")
        await web.chat_postMessage(channel=direct["channel"]["id"], text="Hello, Carol")
        await web.assistant_threads_setTitle(
            channel_id=direct["channel"]["id"],
            thread_ts=await slack.conversations.say("carol", direct["channel"]["id"], "Hi"),
            title="Greetings",
        )
        await web.views_publish(user_id="U0ALICE", view={"type": "home", "blocks": [SECTION]})
        gone = await slack.conversations.say("dan", "random", "A mistake")
        await slack.conversations.delete("dan", "random", gone)
        await slack.conversations.leave("dan", "random")
        stream = await web.chat_startStream(
            channel="C0GENERAL",
            thread_ts=root,
            recipient_user_id="U0ALICE",
            recipient_team_id="T0SANDBOX",
        )
        await web.chat_appendStream(channel="C0GENERAL", ts=stream["ts"], markdown_text="Half an ")


async def test_everything_is_there_again(path: Path) -> None:
    """For each person, and what was open goes on: a stream, a thread, a Home tab."""
    people = ("alice", "carol", "dan")
    async with kept(path) as slack:
        await live_a_little(slack)
        before = {user: await seen_by(slack, f"U0{user.upper()}") for user in people}

    async with kept(path) as slack:
        after = {user: await seen_by(slack, f"U0{user.upper()}") for user in people}
        streaming = slack.workspace.messages("general")[-1]
        async with aiohttp.ClientSession() as session:
            web = client_of(slack, session)
            await web.chat_appendStream(
                channel="C0GENERAL", ts=streaming.ts, markdown_text="answer."
            )
            await web.chat_stopStream(channel="C0GENERAL", ts=streaming.ts)

    assert after == before
    async with kept(path) as slack:
        assert slack.workspace.messages("general")[-1].text == "Half an answer."
        assert not slack.workspace.messages("general")[-1].streaming


async def test_a_kill_loses_nothing(path: Path, tmp_path: Path) -> None:
    """What is written at any moment, without an end, is all that people see."""
    killed = tmp_path / "killed"
    killed.mkdir()
    async with kept(path) as slack:
        await live_a_little(slack)
        before = await seen_by(slack, "U0ALICE")
        for file in tmp_path.glob(f"{path.name}*"):
            shutil.copy(file, killed)

    async with kept(killed / path.name) as slack:
        assert await seen_by(slack, "U0ALICE") == before


async def test_ids_are_never_given_twice(path: Path) -> None:
    """Neither of messages nor of files, whatever happened in between."""
    given: list[str] = []
    for _ in range(3):
        async with kept(path) as slack:
            given += [slack.workspace.new_id("F") for _ in range(3)]
            given.append(await slack.conversations.say("alice", "general", "One more"))

    assert len(set(given)) == len(given)


async def test_an_event_that_was_not_acknowledged_comes_again(path: Path) -> None:
    """After a restart, as a retry; one that was acknowledged does not."""
    async with kept(path) as slack:
        await slack.conversations.say("alice", "general", "<@U0BOBBIN> Is anybody there?")
        assert not any(delivery.acked for delivery in slack.deliveries)

    for expected in (True, False):
        async with kept(path, Limits.off().with_deadlines_scaled(DEADLINE_SCALE)) as slack:
            events = [delivery.payload["event"]["type"] for delivery in slack.deliveries]
            assert ("app_mention" in events) is expected
            for delivery in slack.deliveries:
                delivery.acked_at = 1.0
                slack.journal.notify(delivery)


async def test_one_sandbox_at_a_time(path: Path) -> None:
    """A second one says so; once the first has ended it opens."""
    async with kept(path):
        with pytest.raises(WorkspaceFileError, match="another sandbox is running"):
            WorkspaceFile.open(path)

    WorkspaceFile.open(path).close()


def test_fresh_starts_over(path: Path) -> None:
    file = WorkspaceFile.open(path)
    file._connection.execute("REPLACE INTO records VALUES ('channel', 'C1', '{}')")
    file.close()

    WorkspaceFile.open(path, fresh=True).close()

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 99])
def test_another_file_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(WorkspaceFileError, match="not a sandbox's workspace"):
        WorkspaceFile.open(path)

    assert path.read_bytes() == content


# -- the whole product


@contextmanager
def sandbox(fork_server: ForkServer, folder: Path) -> Iterator[tuple[ForkedProgram, str]]:
    """`bobbin sandbox` with its data in `folder`, and the page's address."""
    command = ["sandbox", "--no-open", "--port", "0", "--data", str(folder / "chats.sqlite3")]
    with fork_server.start(
        "bot", *command, environment=os.environ, folder=folder, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        found = (re.search(r"open at +(http://\S+)", line) for line in process.stdout)
        yield process, next(filter(None, found))[1]


class Page:
    """What a person does and sees, over the page's protocol."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def do(self, path: str, **body: Any) -> Any:
        answer = self._http.post(f"/sandbox/{path}", json={"user": "U0ALICE", **body}).json()
        assert answer["ok"], answer
        return answer

    def messages(self, root: str) -> list[Any]:
        state = self._http.get("/sandbox/state", params={"user": "U0ALICE"}).json()
        return [each for each in state["messages"]["C0GENERAL"] if each["thread_ts"] == root]

    async def wait_for(self, root: str, wanted: Any) -> list[Any]:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not wanted(messages := self.messages(root)):
                await asyncio.sleep(0.1)
        return messages


@pytest.mark.slow
async def test_a_killed_sandbox_finishes_its_answer_in_the_same_message(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """kill -9 in the middle of an answer, then a start with the same data: nothing is lost, nothing is doubled."""
    with (
        sandbox(fork_server, tmp_path) as (process, url),
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        page = Page(http)
        root = page.do("say", channel="C0GENERAL", text="@bobbin tell me a story")["ts"]
        (_, menu) = await page.wait_for(root, lambda found: len(found) == 2)
        chosen = {"text": {"type": "plain_text", "text": "x"}, "value": "demo:demo/storyteller"}
        (actions,) = (block for block in menu["blocks"] if block["type"] == "actions")
        page.do(
            "action",
            action={
                "action_id": actions["elements"][0]["action_id"],
                "block_id": actions["block_id"],
                "selected_option": chosen,
            },
            container={"type": "message", "channel": "C0GENERAL", "ts": menu["ts"]},
        )
        began = await page.wait_for(
            root, lambda found: len(found) == 3 and len(found[2]["text"]) > 20
        )
        process.send_signal(signal.SIGKILL)
        process.wait()

    with (
        sandbox(fork_server, tmp_path) as (process, url),
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        page = Page(http)
        whole = await page.wait_for(
            root, lambda found: len(found) > 2 and "tokens" in str(found[2]["blocks"])
        )
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0

    assert [each["ts"] for each in whole] == [each["ts"] for each in began]
    assert len(whole[2]["text"]) > len(began[2]["text"])


def test_a_second_sandbox_says_that_one_runs(tmp_path: Path, fork_server: ForkServer) -> None:
    """One line, exit code 2."""
    with sandbox(fork_server, tmp_path):
        second = Bobbin(fork_server, tmp_path)(
            *("sandbox", "--no-open", "--port", "0", "--data", str(tmp_path / "chats.sqlite3"))
        )

    assert second.returncode == 2
    assert second.stderr.splitlines()[-1].startswith("bobbin: another sandbox is running")
