"""Random faults during a soak: in Slack's calls, streams, sockets and deliveries, and killed processes."""

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
"""All but `chat.postEphemeral`: without it nobody could be told why a message was refused."""
KILLED_PROCESS = 1
"""The process that is killed; the other one keeps running and is watched for leaks."""


@dataclass
class FaultInjector:
    """Injects a fault about every `every` seconds and kills a process about every `kill_every` seconds."""

    world: Cluster
    fault_interval: float
    kill_interval: float
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inject_faults(seconds))
            group.create_task(self._kill_repeatedly(seconds))
        self.world.slack.faults.clear()

    async def _inject_faults(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, random.expovariate(1 / self.fault_interval)))
            await self._inject_one()

    async def _inject_one(self) -> None:
        slack = self.world.slack
        kind = random.choices(
            ("call", "expire", "drop", "refresh", "refuse", "copies"),
            (0.62, 0.14, 0.08, 0.06, 0.04, 0.06),
        )[0]
        self.counts[kind] += 1
        if kind == "call":
            self._fail_calls()
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

    def _fail_calls(self) -> None:
        method, times = random.choice(METHODS), random.choice((1, 1, 2, 4))
        fail = self.world.slack.faults.add
        mode: Mode = random.choice(get_args(Mode))
        self.counts[f"call {mode}"] += 1
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

    async def _kill_repeatedly(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > self.kill_interval / 2:
            await asyncio.sleep(min(left, self.kill_interval * random.uniform(0.6, 1.4)))
            self.counts["kill -9"] += 1
            await self.world.kill(KILLED_PROCESS)
            await asyncio.sleep(random.uniform(0, 3))
            await self.world.launch(KILLED_PROCESS)
