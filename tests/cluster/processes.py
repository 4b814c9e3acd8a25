"""`bobbin run` as real processes against a Slack and a model server in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from bot.sandbox.errors import NotAcknowledged
from bot.sandbox.limits import Limits
from tests.activity import is_computing
from tests.fork_server import ROOT, ForkedProgram, ForkServer
from tests.handlers.world import KEY, MODEL, World
from tests.slowed import is_holding_back

REDELIVERING = Limits(rates=False, ack_timeout=2.0, retry_delays=(0.0, *[1.0] * 60))
"""Redelivers unacknowledged events every few seconds instead of minutes."""


class Cluster(World):
    """A world whose bot runs as processes on one database. `processes`: their ids, 0 for one that is dead."""

    def __init__(
        self,
        folder: Path,
        fork_server: ForkServer | None = None,
        *,
        processes: int = 1,
        limits: Limits = REDELIVERING,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        # The processes go by the machine's clock, and so does this Slack.
        super().__init__(
            folder, io.StringIO(), limits=limits, deadline_scale=1.0, clock=time.time, **options
        )
        self._folder, self._more_environment = folder, environment or {}
        self.processes = [0] * processes
        self._fork_server, self._own_fork_server = fork_server, fork_server is None
        self._programs: list[ForkedProgram] = []

    async def __aenter__(self) -> Self:
        if self._fork_server is None:
            self._fork_server = await asyncio.to_thread(ForkServer)
        await super().__aenter__()
        return self

    def is_computing(self) -> bool:
        return is_holding_back() or any(is_computing(pid) for pid in self.processes if pid)

    async def choose(
        self, thread: str, user: str = "alice", model: str = MODEL, channel: str = "general"
    ) -> None:
        """Chooses from the newest menu in the thread, and again until the chat has started."""
        while not self.rows("SELECT 1 FROM chats WHERE thread = ?", thread):
            with contextlib.suppress(NotAcknowledged, LookupError):
                await super().choose(thread, user, model, channel)
            await asyncio.sleep(0.05)

    async def start_bot(self, **settings: Any) -> None:
        self.allow_redelivery()
        for number in range(len(self.processes)):
            await self.launch(number)
        await self.connected(len(self.processes))

    async def stop_bot(self) -> None:
        async with contextlib.AsyncExitStack() as ending:  # all of them, even if one is dead
            ending.callback(self._close_programs)
            if self._own_fork_server and self._fork_server is not None:
                ending.push_async_callback(asyncio.to_thread, self._fork_server.close)
                self._fork_server = None
            for number, pid in enumerate(self.processes):
                if pid:
                    ending.push_async_callback(self.kill, number, signal.SIGTERM)
        logs = sorted(self._folder.glob("process*.log"))
        self.log = io.StringIO("".join(log.read_text() for log in logs))

    def _close_programs(self) -> None:
        while self._programs:
            with self._programs.pop():  # it has ended
                pass

    async def launch(self, number: int) -> None:
        assert self._fork_server is not None
        with (self._folder / f"process{number}.log").open("ab") as log:
            started = self._fork_server.start(
                "tests.cluster.scaled_bot",
                environment=self.environment(),
                folder=ROOT,
                stdout=log.fileno(),
                stderr=log.fileno(),
            )
        self._programs.append(started)
        self.processes[number] = started.pid

    async def kill(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal and waits until the process is dead. It must still be alive."""
        self._assert_alive(number)
        pid, self.processes[number] = self.processes[number], 0
        os.kill(pid, how)
        await self.until(lambda: is_dead(pid), "the process ends")

    def _assert_alive(self, number: int) -> None:
        """And say what it said last if it is not."""
        if is_dead(self.processes[number]):
            said = (self._folder / f"process{number}.log").read_text()
            self.processes[number] = 0
            raise AssertionError(f"process {number} ended by itself: {said[-2000:]}")

    @contextmanager
    def standing_still(self, number: int) -> Iterator[None]:
        """Stops the process inside the block without its noticing, as when its machine is suspended."""
        pid = self.processes[number]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def connected(self, count: int) -> None:
        def enough() -> bool:
            for number, pid in enumerate(self.processes):
                if pid:
                    self._assert_alive(number)
            return len(self.slack.sockets.connections) >= count

        await self.until(enough, f"{count} are connected")

    def environment(self) -> dict[str, str]:
        """The environment of `bobbin run`."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "OPENAI_BASE_URL": f"{self.slack.url}/models/v1",
            "OPENAI_API_KEY": KEY,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "PORT": "0",
            "LOG_FORMAT": "json",
            **self._more_environment,
        }


async def until_acknowledged(act: Callable[[], Awaitable[None]]) -> None:
    """Acts, and again as long as the bot does not acknowledge in time, as a person does who sees an error."""
    while True:
        with contextlib.suppress(NotAcknowledged):
            return await act()


def is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
