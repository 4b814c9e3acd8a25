"""Ten answers that are in the middle of something when their process is killed, and when they go on."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bot.sandbox.limits import Limits
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text
from bot.sandbox.models.server import ModelRequest
from bot.sandbox.state.records import Message
from tests.cluster.processes import Cluster, until_acknowledged
from tests.cluster.test_documents import readers
from tests.handlers.test_documents import PDF
from tests.handlers.world import MODEL, elements, shown
from tests.tools.servers import CountingServer
from tests.tools.talk import calling

ANSWERS = 10
GONE_ON = "Here I go on."
TITLE = "A short title"
HELD = 3_600.0
LIMITS = Limits(burst=0.2, ack_timeout=2.0, retry_delays=(0.0, *[1.0] * 60))
"""Slack's rates, and redelivery of what a killed process did not acknowledge."""
PATIENCE = 90.0


class Stage(Enum):
    """Where the answers are; `since` when the seconds count that matter to people."""

    APPROVAL = "waits for approval", "press"
    TOOL = "is in a tool call", "claim"
    DOCUMENT = "reads a document", "claim"
    TITLE = "has a title due", "connected"

    def __init__(self, called: str, since: str) -> None:
        self.called, self.since = called, since


@dataclass
class Scene:
    """The stage, and the people before it."""

    stage: Stage
    world: Cluster
    server: CountingServer
    threads: dict[str, str] = field(default_factory=dict)
    """Their channels."""
    killed: bool = False

    def answering(self, asked: ModelRequest) -> ModelScript:
        if asks_for_title(asked.messages):
            held = self.stage is Stage.TITLE and not self.killed
            return ModelScript([TITLE], times=[HELD if held else 0.0])
        called = any(message["role"] == "tool" for message in asked.messages)
        if self.stage in (Stage.APPROVAL, Stage.TOOL) and not called:
            return calling(("add" if self.stage is Stage.APPROVAL else "put", {"text": "a line"}))
        return script_from_text(GONE_ON, 100.0)

    async def ask(self, number: int) -> None:
        """In a channel of one's own."""
        workspace, bot = self.world.slack.workspace, self.world.slack.bot_user.id
        channel = workspace.add_channel(f"room{number}", [workspace.user("alice").id, bot]).id
        files = [PDF] if self.stage is Stage.DOCUMENT else []
        thread = await self.world.slack.conversations.say(
            "alice", channel, f"<@{bot}> Please.", None, files
        )
        await self.world.until(lambda: self.world.menus(thread, channel), "the menu")
        await self.world.choose(thread, "alice", MODEL, channel)
        self.threads[thread] = channel

    def notices(self, thread: str) -> list[Message]:
        """The messages that ask about a call."""
        shown_there = self.world.replies(thread, self.threads[thread])
        return [message for message in shown_there if elements(message, "tool_allow_once")]

    def is_reached(self) -> bool:
        """Whether all answers are at the stage; of the documents one alone is read, and the others wait for it."""
        queries = {
            Stage.APPROVAL: "SELECT 1 FROM answers WHERE parked AND owner IS NULL",
            Stage.TOOL: "SELECT 1 FROM tool_calls WHERE state = 'calling'",
            Stage.TITLE: "SELECT 1 FROM answers WHERE state = 'ended'",
        }
        if self.stage is Stage.DOCUMENT:
            return any(readers(self.world.processes[0]))
        if self.stage is Stage.APPROVAL and not all(map(self.notices, self.threads)):
            return False
        return len(self.world.rows(queries[self.stage])) == ANSWERS

    def claimed(self) -> set[str]:
        """The threads whose answers the new process has, or has ended."""
        query = (
            "SELECT c.thread FROM answers a JOIN chats c ON c.id = a.chat_id "
            "WHERE a.state = 'ended' OR a.owner LIKE ?"
        )
        return {row["thread"] for row in self.world.rows(query, f"%:{self.world.processes[0]}:%")}

    def gone_on(self) -> set[str]:
        """The threads that show what was to come."""
        if self.stage is Stage.TITLE:
            titled = self.world.rows("SELECT thread FROM chats WHERE title = ?", TITLE)
            return {row["thread"] for row in titled}
        return {
            thread
            for thread, channel in self.threads.items()
            if any(GONE_ON in shown(message) for message in self.world.answers(thread, channel))
        }

    async def press(self) -> dict[str, float]:
        """Allows each call, at once for all; when each was pressed."""
        pressed: dict[str, float] = {}

        async def allow(thread: str) -> None:
            pressed[thread] = _now()
            notice, press = self.notices(thread)[0], self.world.slack.interactions.press
            with suppress(LookupError):  # an earlier try has worked, and Slack was told late
                await until_acknowledged(lambda: press("alice", notice, "tool_allow_once"))

        await asyncio.gather(*map(allow, self.threads))
        return pressed


@dataclass(frozen=True)
class Outcome:
    """Seconds until each answer went on; those that did not are missing."""

    stage: Stage
    since_kill: dict[str, float]
    since: dict[str, float]
    """From what the stage says."""


async def measure(stage: Stage) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="bobbin-bench-") as name:
        folder = Path(name)
        server = CountingServer(folder / "effects", log_level="WARNING")
        async with server.over_http() as url:
            rules = {"url": url, "allow": ["put"]}
            (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"web": rules}}))
            environment = {"BOBBIN_MCP_CONFIG": str(folder / "mcp.json")}
            async with Cluster(folder, limits=LIMITS, environment=environment) as world:
                world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
                return await _killed(Scene(stage, world, server))


async def _killed(scene: Scene) -> Outcome:
    world, server = scene.world, scene.server
    world.models.answer_with("*", scene.answering)
    server.pace = HELD
    await asyncio.gather(*map(scene.ask, range(ANSWERS)))
    await world.until(scene.is_reached, scene.stage.called)
    killed_at = _now()
    await world.kill(0)
    scene.killed, server.pace = True, 0.0
    await world.launch(0)
    await world.connected(1)
    since = dict.fromkeys(scene.threads, _now()) if scene.stage is Stage.TITLE else {}
    if scene.stage is Stage.APPROVAL:
        since = await scene.press()
    ended = await _gone_on(scene, since)
    await world.idle()
    return Outcome(
        scene.stage,
        {thread: at - killed_at for thread, at in ended.items()},
        {thread: at - since[thread] for thread, at in ended.items()},
    )


async def _gone_on(scene: Scene, since: dict[str, float]) -> dict[str, float]:
    """When each answer went on. Notes the claims of those of which `since` has nothing."""
    ended: dict[str, float] = {}
    deadline = _now() + PATIENCE
    while len(ended) < ANSWERS and _now() < deadline:
        for thread in scene.claimed():
            since.setdefault(thread, _now())
        for thread in scene.gone_on():
            since.setdefault(thread, _now())
            ended.setdefault(thread, _now())
        await asyncio.sleep(0.05)
    return ended


def _now() -> float:
    return asyncio.get_running_loop().time()
