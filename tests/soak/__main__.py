"""`make soak`: two processes of `bobbin run` under mixed use and random faults.

One process runs from beginning to end and is watched; the other is killed with -9 again and again. In the end every
message must be accounted for, and the watched process must not have grown. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import httpx

from bot.sandbox.limits import Limits
from tests.api.conftest import token_for
from tests.cluster.processes import Cluster
from tests.redis_service import redis_server
from tests.services import Unavailable
from tests.soak.fault_injection import FaultInjector
from tests.soak.reconciliation import Reconciliation, reconcile
from tests.soak.resource_usage import Sample, growth, sample
from tests.soak.users import PEOPLE, SimulatedUsers, answering

LIMITS = Limits(burst=0.2, retry_delays=(0.0, 5.0, 20.0, 60.0, 120.0))
MAX_MESSAGES = 24
UNFINISHED_ANSWERS = (
    "SELECT chat_id, number, state, owner, lease_until FROM answers WHERE state != 'ended'"
)
DRAIN_TIMEOUT = 300.0
"""Seconds within which every question must be answered once users and faults have stopped."""
QUIET_PERIOD = 40.0
"""Seconds after which kept connections are closed."""
MAX_GROWTH_MEGABYTES, MAX_GROWTH_TASKS = 25.0, 6
"""How much the watched process may grow."""
POOL_SIZE = 20
"""Open files of one kind that are no leak: connections to Redis, and two files for each of ten to the database."""
EXPECTED_ERRORS = (
    *(
        "message_not_in_streaming_state",
        "streaming_state_conflict",
        "no_reaction",
        "already_reacted",
    ),
    *("internal_error", "hash_conflict", "fatal_error", "message_not_found", "stopped_by_user"),
)


class Soak:
    def __init__(self, folder: Path, minutes: float, per_minute: float, redis: str | None) -> None:
        self._minutes = minutes
        settings: dict[str, str] = {
            "BOBBIN_MAX_MESSAGES": str(MAX_MESSAGES),
            "BOBBIN_MODEL_TIMEOUT": "5",
        }
        settings |= {"REDIS_URL": redis} if redis else {}
        self._log = folder / "process0.log"
        self.world = Cluster(folder, processes=2, limits=LIMITS, environment=settings)
        self.world.forgive(*EXPECTED_ERRORS)
        self.world.forgive_logger("slack_sdk.socket_mode")  # about the sockets that faults cut
        self.world.models.answer_with("*", answering)
        self._token = ""
        people = [self.world.slack.workspace.user(name).id for name in PEOPLE] + [
            self.world.slack.bot_user.id
        ]
        rooms = [self.world.slack.workspace.add_channel(f"room{n}", people).id for n in range(6)]
        self.users = SimulatedUsers(self.world, self._http, rooms, per_minute)
        self.faults = FaultInjector(
            self.world, fault_interval=6.0, kill_interval=min(150.0, max(30.0, minutes * 12))
        )
        self.samples: list[Sample] = []

    async def run(self) -> bool:
        """Runs the soak and prints the report; True if all is well."""
        seconds = self._minutes * 60
        async with self.world:
            self._token = await token_for(self.world)
            await self.users.ask()
            await self.users.ask()
            first = await self._sample_when_quiet()
            watching = asyncio.create_task(self._watch())
            await asyncio.gather(self.users.run(seconds), self.faults.run(seconds))
            await self.users.wait_until_done()
            drained = await self._drain()
            watching.cancel()
            last = await self._sample_when_quiet()
            result = reconcile(self.world, self.users.asked, MAX_MESSAGES)
            is_well = self._report(result, first, last, drained)
            if not drained:
                self.world.leave_unfinished()
        return is_well

    def _http(self) -> httpx.AsyncClient:
        lines = (json.loads(line) for line in self._log.read_text().splitlines())
        url = next(line["url"] for line in lines if line["event"] == "http_listening")
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=120, trust_env=False)

    async def _watch(self) -> None:
        started = time.monotonic()
        while True:
            async with self._http() as http:
                now = await sample(self.world.processes[0], http)
            self.samples.append(now)
            if len(self.samples) % 6 == 1:
                print(
                    f"{(time.monotonic() - started) / 60:5.1f} min  {len(self.users.asked):5} asked  {now}",
                    flush=True,
                )
            await asyncio.sleep(10)

    async def _drain(self) -> bool:
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while self.world.slack.dispatcher.pending():
                    await asyncio.sleep(0.5)
                await self.world.idle()
        except TimeoutError:
            return False
        return True

    async def _sample_when_quiet(self) -> Sample:
        await self._drain()
        await asyncio.sleep(QUIET_PERIOD)
        async with self._http() as http:
            return await sample(self.world.processes[0], http)

    def _report(self, result: Reconciliation, first: Sample, last: Sample, drained: bool) -> bool:
        grown = growth(self.samples, lambda each: each.megabytes)
        leaks = [
            f"{count} × {kind}"
            for kind, count in last.files.items()
            if count > max(POOL_SIZE, first.files.get(kind, 0))
        ]
        leaks += ["memory"] if grown > MAX_GROWTH_MEGABYTES else []
        leaks += ["tasks"] if last.tasks > first.tasks + MAX_GROWTH_TASKS else []
        peak = max(self.samples, key=lambda each: each.megabytes)
        asked = len(self.users.asked)
        _table("actions of users", self.users.action_counts)
        _table("injected faults", self.faults.counts)
        _table(f"asked {asked}, accounted for {result.total}", result.outcomes)
        print(
            f"\nthe process that was not killed\n  at rest before  {first}\n  at rest after   {last}"
        )
        print(
            f"  at most         {peak}\n  growth of memory between its third and its last tenth: {grown:+.1f} MB"
        )
        _table("its open files", last.files)
        for fault in result.faults:
            print(f"MISMATCH {fault}")
        for what in leaks:
            print(f"LEAK {what}")
        if not drained:
            print(f"UNFINISHED {self.world.rows(UNFINISHED_ANSWERS)}")
        return drained and not result.faults and not leaks and result.total == asked


def _table(title: str, counts: Mapping[str, int]) -> None:
    print(f"\n{title}")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"  {count:6}  {name}")


async def soak(folder: Path, minutes: float, per_minute: float, redis: str | None) -> bool:
    """Runs a soak; True if all is well."""
    return await Soak(folder, minutes, per_minute, redis).run()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--per-minute", type=float, default=20.0, help="questions a minute")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(100_000))
    given = parser.parse_args()
    random.seed(given.seed)
    warnings.simplefilter("default")
    print(f"seed {given.seed}, {given.minutes} min", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="bobbin-soak-"))
    try:
        redis = redis_server()
    except Unavailable as why:
        print(f"without Redis: {why}")
        redis = None
    try:
        is_well = asyncio.run(
            soak(folder, given.minutes, given.per_minute, redis.url if redis else None)
        )
    finally:
        if redis is not None:
            redis.close()
    if is_well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs and database: {folder}")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
