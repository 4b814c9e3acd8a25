"""What idle workspaces cost: the same process with ten installed workspaces and with ten thousand.

    python -m tests.bench.workspaces [--workspaces 10000] [--seconds 60]

For each number: seconds until it is ready, memory at rest, processor seconds and database statements while nothing
happens, then one event of each of a thousand workspaces (a message in no chat, which most events are): milliseconds for
each, and the memory afterwards and again after a rest. Nothing may grow with the number of idle workspaces.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psycopg
from slack_sdk.signature import SignatureVerifier
from sqlalchemy import insert

from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.tables import installations
from tests import services
from tests.cluster.processes import Cluster
from tests.services import free_port

KEY = "a long enough key for the tokens of many workspaces"
SECRET = "0123456789abcdef0123456789abcdef"
EVENTS = 1_000
AT_ONCE = 8


HEADING = (
    f"{'workspaces':>10}{'start':>10}{'at rest':>12}{'cpu':>11}{'commits':>9}{'event':>12}"
    f"{'after':>12}{'rested':>12}"
)


@dataclass(frozen=True)
class Measured:
    workspaces: int
    start: float
    at_rest: float
    cpu: float
    transactions: int
    event: float
    after: float
    rested: float

    def line(self) -> str:
        return (
            f"{self.workspaces:10,}{self.start:8.1f} s{self.at_rest:9.0f} MB{self.cpu:9.2f} s{self.transactions:9}"
            f"{self.event:9.1f} ms{self.after:9.0f} MB{self.rested:9.0f} MB"
        )


class _HttpCluster(Cluster):
    async def connected(self, count: int) -> None:
        pass


async def _install(url: str, count: int) -> None:
    database, cipher = Database.open(url), TokenCipher(KEY)
    await database.migrate()
    token = cipher.encrypt("xoxb-1")
    rows = [
        {
            "enterprise": "",
            "team": f"T{number:08}",
            "bot_user": "U0BOT",
            "bot_id": "B0BOT",
            "bot_token": token,
            "url": "https://example.slack.com/",
            "scopes": "chat:write",
            "installed_by": "U1",
            "installed_at": utc_now(),
        }
        for number in range(count)
    ]
    async with database.begin() as connection:
        for begin in range(0, count, 1_000):
            await connection.execute(insert(installations), rows[begin : begin + 1_000])
    await database.close()


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _transactions(url: str) -> int:
    query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


@asynccontextmanager
async def _running(url: str, folder: Path) -> AsyncIterator[tuple[int, str, float]]:
    port = free_port()
    environment = {
        "SLACK_BOT_TOKEN": "",
        "SLACK_APP_TOKEN": "",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_CLIENT_ID": "1.2",
        "SLACK_CLIENT_SECRET": "secret-of-the-app",
        "BOBBIN_SECRET_KEY": KEY,
        "DATABASE_URL": url,
        "PORT": str(port),
    }
    where, began = f"http://127.0.0.1:{port}", time.monotonic()
    world = _HttpCluster(folder, environment=environment)
    world.leave_unfinished()
    world.forgive("invalid_auth")  # the local Slack does not know these workspaces' tokens
    async with world, httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                if (await http.get(f"{where}/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
        yield world.processes[0], where, time.monotonic() - began


async def _event(http: httpx.AsyncClient, url: str, team: int) -> float:
    event = {"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1",
             "text": "hello", "ts": f"{team}.1", "thread_ts": f"{team}.0"}  # fmt: skip
    body = json.dumps(
        {
            "type": "event_callback",
            "team_id": f"T{team:08}",
            "event_id": f"Ev{team}",
            "event": event,
        }
    )
    stamp = str(int(time.time()))
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=stamp, body=body)
    headers = {
        "content-type": "application/json",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": signature or "",
    }
    began = time.perf_counter()
    answer = await http.post(f"{url}/slack/events", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


async def _events(url: str, count: int) -> float:
    """Milliseconds for one event of each workspace, as the median."""
    times: list[float] = []
    queue = iter(range(count))

    async def send(http: httpx.AsyncClient) -> None:
        for team in queue:
            times.append(await _event(http, url, team))

    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        await asyncio.gather(*(send(http) for _ in range(AT_ONCE)))
    return 1_000 * median(times)


async def measure(server: str, workspaces: int, seconds: float) -> Measured:
    url = services.new_database(server).url
    await _install(url, workspaces)
    with tempfile.TemporaryDirectory() as folder:
        async with _running(url, Path(folder)) as (pid, where, start):
            await asyncio.sleep(5)
            cpu, transactions, at_rest = _cpu(pid), _transactions(url), _memory(pid)
            await asyncio.sleep(seconds)
            cpu, transactions = _cpu(pid) - cpu, _transactions(url) - transactions
            event = await _events(where, min(EVENTS, workspaces))
            after = _memory(pid)
            await asyncio.sleep(seconds)
            return Measured(
                workspaces, start, at_rest, cpu, transactions, event, after, _memory(pid)
            )


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    server = services.postgresql()
    try:
        print(HEADING)
        small = await measure(server.url, 10, options.seconds)
        print(small.line(), flush=True)
        large = await measure(server.url, options.workspaces, options.seconds)
        print(large.line())
        flat = (
            large.at_rest < 1.3 * small.at_rest
            and large.transactions < 1.3 * small.transactions + 20
        )
        return 0 if flat else 1
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
