"""A call cut off by a kill counts once, by an estimate: of an answer, a title, a voice clip, a turn after tools."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.sandbox.models.demo import asks_for_title
from tests.cluster.processes import Cluster
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_voice_clips import CLIP
from tests.handlers.world import MODEL
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
    responding,
)
from tests.tools.servers import CountingServer
from tests.tools.test_kills import ON_POSTGRESQL, backend

WORDS = "Many words. " * 40
CALLS = [{"index": 0, "id": "c0", "type": "function",
          "function": {"name": "web__look", "arguments": json.dumps({"at": "home"})}}]  # fmt: skip


CUT = (("title", "Hello?"), ("answer", "At length!"), ("answer", "Look!"), ("clip", ""))
"""The messages, and which of their calls a kill cuts off; for `Look!` the one after the tool's."""


@dataclass
class SilentModel:
    """Reports nothing about what its calls use."""

    cut: str = ""
    """The kind of the next call that hangs halfway: `answer`, `title`, `clip`."""
    charged: list[int] = field(default_factory=list)
    """Tokens of each call, including what it said until it was cut off."""
    held: int = 0
    """Calls that hung halfway."""

    async def __call__(self, received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            await responding({"data": [{"id": MODEL}, {"id": "ears"}]})(received, out)
        elif received.path.endswith("/transcriptions"):
            self.charged.append(len(CLIP.content) // 500)
            await self._hold("clip")
            await out.answer(b'{"text": "What do you hear?"}', content_type="application/json")
        else:
            await self._write(received.body["messages"], out)

    async def _write(self, messages: list[dict[str, str]], out: ResponseWriter) -> None:
        calls = messages[-1]["content"] == "Look!"
        kind = "title" if asks_for_title(messages) else "answer"
        said = WORDS if self.cut == kind == "answer" and not calls else "An answer."
        self.charged.append((sum(len(str(m["content"])) for m in messages) + len(said)) // 4)
        await out.head()
        if calls:
            await out.chunk(delta(tool_calls=CALLS) + delta(finish="tool_calls") + DONE)
        else:
            await out.chunk(delta(said))
            await self._hold(kind)
            await out.chunk(delta(finish="stop") + DONE)
        await out.end()

    async def _hold(self, kind: str) -> None:
        if self.cut == kind:
            self.cut, self.held = "", self.held + 1
            await asyncio.Event().wait()


async def until_noted(world: Cluster) -> None:
    """Waits until the database knows about the call in progress, and the ledger about the turn before it."""
    noted = "SELECT 1 FROM answers WHERE state = 'running' AND call NOT IN (SELECT id FROM ledger)"
    await world.until(lambda: world.rows(noted), "the call is noted")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=ON_POSTGRESQL)])
async def test_calls_that_kills_cut_off_count_once(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    model, tools = SilentModel(), CountingServer(tmp_path / "effects")
    async with ScriptedServer(model).running() as server, tools.over_http() as url:
        file = tmp_path / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {"web": {"url": url}}}))
        environment = {
            "BOBBIN_MCP_CONFIG": str(file),
            "OPENAI_BASE_URL": server.url,
            "BOBBIN_TRANSCRIBE_MODEL": "openai:ears",
            "BOBBIN_BUDGET_USER": "1G tokens/month",
        }
        async with backend(kind, request, tmp_path, environment, processes=1) as world:
            world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
            model.cut = CUT[0][0]
            thread = await world.start("Hello?")
            for number, (kind, text) in enumerate(CUT, start=1):
                if number > 1:
                    model.cut = kind
                    clips = () if text else (CLIP,)
                    await say_with_files(world, text, *clips, thread=thread)
                await world.until(lambda: model.held == number, "the call")  # noqa: B023
                if kind == "answer":
                    await until_noted(world)
                await world.kill(0)
                await world.launch(0)
                await world.until(lambda: len(world.ended(thread)) == number, "the end")  # noqa: B023
                await world.idle()
            rows = world.rows("SELECT * FROM ledger ORDER BY id")
            assert len(rows) == len(model.charged)
            cut = [row["kind"] for row in rows if row["outcome"] == "asked"]
            assert sorted(cut) == ["answer", "answer", "title", "transcription"]
            assert sum(row["estimated_tokens"] for row in rows) >= sum(model.charged)
            (spent,) = world.rows("SELECT tokens FROM spending")
            (days,) = world.rows("SELECT sum(estimated_tokens) e, sum(calls) n FROM usage_days")
            assert (days["e"], days["n"]) == (spent["tokens"], len(rows))
