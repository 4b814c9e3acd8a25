"""Processes are killed while counting tools are called: no effect happens twice, and none is concealed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.errors import NotAcknowledged, SlackRefusal
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, script_from_text, text_of, words
from tests.cluster.processes import Cluster
from tests.cluster.replicas import Replicas
from tests.fork_server import ForkServer
from tests.handlers.world import Row, shown
from tests.slow import slow
from tests.tools.servers import CountingServer
from tests.tools.talk import asking, calling

ON_POSTGRESQL = (pytest.mark.postgres, pytest.mark.redis)
PACE = 0.1
"""Seconds before and after a call's effect, so that a kill can come in between."""


@dataclass
class Person:
    """Asks one question after another and decides about their tool calls, whatever happens to the bot."""

    world: Cluster
    server: CountingServer
    chance: random.Random
    number: int = 0
    thread: str = ""
    told: dict[int, list[str]] = field(default_factory=dict)
    """What the model was told last that the calls of each question returned."""

    def answering(self, asked: Any) -> ModelScript:
        """Looks first, then adds two lines in one turn and sets one in the next, then tells."""
        if asks_for_title(asked.messages):
            return script_from_text("A short title", 100)
        said = [text_of(m).rpartition("Add number ")[2] for m in asked.messages]
        last = max(n for n, m in enumerate(asked.messages) if said[n] != text_of(m))
        number = int(said[last])
        if not asked.body.get("tools"):  # their server was not reached in time
            return ModelScript(words(f"Finished {number}."), rate=40.0)
        returned = [text_of(m) for m in asked.messages[last:] if m["role"] == "tool"]
        self.told[number] = returned
        turns = {
            0: calling(("look", {"at": f"{number}"}), saying=f"Begun {number}."),
            1: calling(("add", {"text": f"{number}a"}), ("add", {"text": f"{number}b"})),
            3: calling(("put", {"text": f"{number}"})),
        }
        return turns.get(len(returned)) or ModelScript(words(f"Finished {number}."), rate=40.0)

    async def ask(self) -> None:
        self.number += 1
        self.thread = await self.world.start(f"Add number {self.number}")

    async def decide(self) -> None:
        """Presses what there is to press until the answer has ended; every fifth first line is denied."""
        while not self.world.ended(self.thread):
            for message in asking(self.world, self.thread):
                denied = self.number % 5 == 0 and f'"{self.number}a"' in str(message.blocks)
                action = "tool_deny" if denied else "tool_allow_once"
                with contextlib.suppress(NotAcknowledged, LookupError, SlackRefusal):
                    await self.world.slack.interactions.press("alice", message, action)
                await asyncio.sleep(self.chance.uniform(0.0, 0.1))
            await asyncio.sleep(0.02)

    # -- how far the question is -----------------------------------------------------------------------------------

    def calls(self, *states: str) -> list[Row]:
        """The question's calls that write, in these states."""
        rows = self.world.rows(
            "SELECT t.* FROM tool_calls t JOIN chats c ON c.id = t.chat_id "
            "WHERE c.thread = ? AND t.path != 'web/look'",
            self.thread,
        )
        return [row for row in rows if row["state"] in states]

    def unnoticed_effects(self) -> list[Row]:
        """Calls that have had their effect, which the database does not know."""
        effects = {effect.split()[-1] for effect in self.server.effects}
        return [
            row for row in self.calls("calling") if json.loads(row["arguments"])["text"] in effects
        ]

    def moments(self) -> dict[str, Callable[[], object]]:
        """When the process is to be killed."""
        parked = "SELECT 1 FROM answers a JOIN chats c ON c.id = a.chat_id WHERE c.thread = ? AND a.parked"
        noted = "SELECT 1 FROM tool_calls WHERE notice_ts IS NULL AND id = ?"
        return {
            "the notice is posted": lambda: [
                call for call in self.calls("asked")
                if asking(self.world, self.thread) and self.world.rows(noted, call["id"])
            ],
            "the call is under way": lambda: self.server.under_way,
            "the calls are stored": lambda: self.calls("asked"),
            "it is parked": lambda: self.world.rows(parked, self.thread) and asking(self.world, self.thread),
            "between two approvals": lambda: self.calls("asked") and self.calls("ready", "calling", "done"),
            "a call is about to be made": lambda: self.calls("calling"),
            "it has had its effect": self.unnoticed_effects,
            "its result is stored": lambda: self.calls("done"),
            "the model is asked again": lambda: len(self.told.get(self.number, ())) > 2,
        }  # fmt: skip


def backend(
    kind: str,
    request: pytest.FixtureRequest,
    folder: Path,
    environment: dict[str, str],
    processes: int = 2,
) -> Cluster:
    """Processes on one SQLite file, or replicas on PostgreSQL and Redis."""
    fork_server: ForkServer = request.getfixturevalue("fork_server")
    if kind == "sqlite":
        environment = {"TEST_RATE_SCALE": "10", **environment}
        return Cluster(folder, fork_server, processes=processes, environment=environment)
    urls = request.getfixturevalue("postgresql_url"), request.getfixturevalue("redis_url")
    return Replicas(folder, fork_server, *urls, count=processes, environment=environment)


@asynccontextmanager
async def tooled_cluster(
    kind: str, request: pytest.FixtureRequest, folder: Path
) -> AsyncIterator[tuple[Cluster, CountingServer]]:
    """Processes whose models may call the tools of a server."""
    server = CountingServer(folder / "effects")
    async with server.over_http() as url:
        file = folder / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {"web": {"url": url}}}))
        async with backend(kind, request, folder, {"BOBBIN_MCP_CONFIG": str(file)}) as world:
            yield world, server


async def kill_and_start_again(world: Cluster, holder: str, *, all_of_them: bool) -> None:
    """Kills whoever holds the answer, or everybody."""
    victims = [
        number
        for number, pid in enumerate(world.processes)
        if all_of_them or not holder or f":{pid}:" in holder
    ]
    await asyncio.gather(*(world.kill(number) for number in victims))
    await asyncio.gather(*(world.launch(number) for number in victims))
    await world.connected(len(world.processes))


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("sqlite", 2),
        slow(("sqlite", 50)),
        pytest.param("postgresql", 50, marks=[pytest.mark.slow, *ON_POSTGRESQL]),
    ],
)
async def test_kills_make_no_call_twice(
    tmp_path: Path, request: pytest.FixtureRequest, thorough: bool, kind: str, kills: int
) -> None:
    """Counted effects belong to approved calls, at most once each; people and model are told about unknown outcomes."""
    chance = random.Random(secrets.randbelow(10_000) if thorough else 2)
    async with tooled_cluster(kind, request, tmp_path) as (world, server):
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict", "no_reaction")
        world.forgive("message_not_found")
        server.pace = PACE
        person = Person(world, server, chance)
        world.models.answer_with("*", person.answering)
        hit: Counter[str] = Counter()
        wanted = itertools.cycle(person.moments())
        for number in range(1, kills + 1):
            await person.ask()
            deciding = asyncio.create_task(person.decide())
            moment = next(wanted)
            come = person.moments()[moment]
            reached = False
            with contextlib.suppress(LookupError):
                while not world.ended(person.thread) and not (reached := bool(come())):
                    await asyncio.sleep(0.003)
            if reached and not world.ended(person.thread):
                hit[moment] += 1
                await asyncio.sleep(chance.choice((0.0, chance.uniform(0.0, 0.05))))
            owner = world.rows("SELECT owner FROM answers WHERE owner IS NOT NULL")
            holder = str(owner[0]["owner"]) if owner else ""
            await kill_and_start_again(world, holder, all_of_them=number % 2 == 0)
            await world.until(partial(world.ended, person.thread), f"answer {number} has ended")
            await deciding
        await world.idle()
        check(world, person, kills)
        if kills >= 50:
            assert set(hit) == set(person.moments())


def check(world: Cluster, person: Person, kills: int) -> None:
    """Whoever was killed when: each call has had the effect that its row states, and everybody knows about the
    others.
    """
    effects = Counter(person.server.effects)
    rows = world.rows("SELECT * FROM tool_calls WHERE path IN ('web/add', 'web/put') ORDER BY id")
    assert kills <= len(rows) <= 3 * kills
    for row in rows:
        text, tool = json.loads(row["arguments"])["text"], row["name"].rpartition("__")[2]
        number, made = int(text.rstrip("ab")), effects[f"{tool} {text}"]
        denied = number % 5 == 0 and text.endswith("a")
        usual = {"denied"} if denied else {"done", "unknown", "failed"}
        assert row["state"] in usual, dict(row)
        if row["state"] == "failed":  # after ten seconds in which a loaded machine did not connect
            assert "not available" in row["result"]
            assert made == 0
        assert row["state"] != "denied" or made == 0
        assert row["state"] != "done" or made >= 1
        assert tool == "put" or made <= 1  # `put` may be made again
        if row["state"] == "unknown":
            assert tool == "add"
            assert any("not known whether" in told for told in person.told[number])
    unknown = [row for row in rows if row["state"] == "unknown"]
    messages = world.slack.workspace.channel("general").messages.values()
    assert sum("don't know whether" in shown_blocks(message) for message in messages) == len(
        unknown
    )
    threads = {row["thread"] for row in world.rows("SELECT thread FROM chats")}
    assert sorted(shown(m) for thread in threads for m in world.answers(thread)) == sorted(
        f"Begun {number}.\n\nFinished {number}." for number in range(1, kills + 1)
    )
    assert_each_turn_is_single_run(world)
    left = [(m.ts, m.blocks[0]["block_id"]) for thread in threads for m in asking(world, thread)]
    noted = [(row["id"], row["state"], row["notice_ts"], row["notice_state"]) for row in rows]
    assert left == [], noted


def assert_each_turn_is_single_run(world: Cluster) -> None:
    """The ledger has one model call for every turn that is stored, and one for the end."""
    turns = "SELECT answer_id, COUNT(DISTINCT round) AS n FROM tool_calls GROUP BY answer_id"
    paid = "SELECT answer_id, COUNT(*) AS n FROM ledger WHERE outcome = ? AND kind = 'answer' GROUP BY answer_id"
    stored = {row["answer_id"]: row["n"] for row in world.rows(turns)}
    with_calls, ends = (
        {row["answer_id"]: row["n"] for row in world.rows(paid, outcome)}
        for outcome in ("tools", "done")
    )
    assert with_calls == stored
    assert set(stored) <= set(ends)
    assert set(ends.values()) == {1}


def shown_blocks(message: Any) -> str:
    return str(message.blocks)
