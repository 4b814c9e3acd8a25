"""What goes wrong during a soak, at random: Slack's calls, streams, sockets, deliveries, and a process."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

from bot.sandbox.faults import Mode
from tests.cluster.processes import Cluster

METHODS = (
    "chat.postMessage",
    "chat.update",
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
    "views.publish",
    "reactions.add",
    "reactions.remove",
    "users.info",
    "conversations.replies",
    "agents.sessions.setStatus",
    "assistant.threads.setStatus",
    "apps.connections.open",
)
"""All but `chat.postEphemeral`: whom Slack does not let us tell a reason cannot have been told it."""
YOUNGER = 1
"""The process that is killed; the other one lives all the time, and is watched for leaks."""


@dataclass
class FaultInjector:
    """About one trouble every `every` seconds, and a kill every `kill_every`."""

    world: Cluster
    every: float
    kill_every: float
    happened: Counter[str] = field(default_factory=Counter)

    async def live(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._plague(seconds))
            group.create_task(self._kill(seconds))
        self.world.slack.faults.clear()

    async def _plague(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, random.expovariate(1 / self.every)))
            await self._one()

    async def _one(self) -> None:
        slack = self.world.slack
        kind = random.choices(
            ("call", "expire", "drop", "refresh", "refuse", "copies"),
            (0.62, 0.14, 0.08, 0.06, 0.04, 0.06),
        )[0]
        self.happened[kind] += 1
        if kind == "call":
            self._fail()
        elif kind == "expire":
            streaming = [
                m
                for c in slack.workspace.channels.values()
                for m in c.messages.values()
                if m.streaming
            ]
            if streaming:
                message = random.choice(streaming)
                slack.workspace.expire_stream(message)
        elif kind == "drop":
            await slack.sockets.drop()
        elif kind == "refresh":
            await slack.sockets.disconnect("refresh_requested")
        elif kind == "refuse":
            slack.sockets.refuse(random.uniform(1, 5))
            await slack.sockets.drop()
        else:
            slack.faults.copies = random.choice((1, 1, 2, 3))

    def _fail(self) -> None:
        method, times = random.choice(METHODS), random.choice((1, 1, 2, 4))
        fail = self.world.slack.faults.add
        mode: Mode = random.choice(get_args(Mode))
        self.happened[f"call {mode}"] += 1
        if mode == "ratelimited":
            fail(method, mode, times=times, retry_after=random.choice((1, 2, 5)))
        elif mode == "status":
            fail(method, mode, times=times, status=random.choice((500, 502, 503)))
        elif mode in ("hang", "slow"):
            fail(
                method,
                mode,
                times=1,
                seconds=random.uniform(1, 12),
                after_effect=random.random() < 0.5,
            )
        else:
            fail(method, mode, times=times)

    async def _kill(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > self.kill_every / 2:
            await asyncio.sleep(min(left, self.kill_every * random.uniform(0.6, 1.4)))
            self.happened["kill -9"] += 1
            await self.world.kill(YOUNGER)
            await asyncio.sleep(random.uniform(0, 3))
            await self.world.launch(YOUNGER)
