"""Each door's worst request, a hundred times at once, at a real process whose memory is watched.

    python -m tests.bench.bounds [--times 100]

Prints for each door the process's peak memory, its responses, and the slowest response to another user who requests the
list of models meanwhile. Exit code 1 when a door took more than 500 MB, or made somebody wait for a second.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from sqlalchemy import text
from websockets.asyncio.client import connect

from bot.domain import ModelRef, User
from storage.api_tokens import Tokens
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.cluster.processes import Cluster
from tests.documents.bombs import far_corner, inflating_objects, inflating_page
from tests.services import free_port

MOST_BYTES = 500_000_000
LONGEST_WAIT = 1.0
SECRET = "0123456789abcdef0123456789abcdef"
EYE = "openai:demo/eye"
Door = Callable[["Bench", int], Awaitable[object]]


@dataclass
class Bench:
    """A running bot, and what its clients know."""

    url: str
    pid: int
    tokens: list[str]
    """Of one person who asks for too much."""
    other: str
    """The token of somebody else."""
    chats: list[str]
    long_chat: str
    http: httpx.AsyncClient

    def seconds(self) -> float:
        """Of processor time that the bot has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096

    async def post(self, number: int, path: str, body: bytes, **headers: str) -> object:
        token = self.tokens[number % len(self.tokens)]
        given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | headers
        return (await self.http.post(path, content=body, headers=given)).status_code

    async def get(self, number: int, path: str) -> object:
        token = self.tokens[number % len(self.tokens)]
        answer = await self.http.get(path, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code


def _picture(form: str, edge: int, **options: Any) -> str:
    file = io.BytesIO()
    Image.new("RGB", (edge, edge), "red").save(file, form, **options)
    return base64.b64encode(file.getvalue()).decode()


def _noise(size: int) -> str:
    return base64.b64encode(b"\xff\xd8\xff" + random.randbytes(size - 3)).decode()


def _of_comments(size: int) -> str:
    """A JPEG with a million empty comments."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG")
    data = file.getvalue()
    at = 4 + int.from_bytes(data[4:6])
    return base64.b64encode(data[:at] + b"\xff\xfe\0\2" * (size // 4) + data[at:]).decode()


def _message(**fields: Any) -> bytes:
    return json.dumps({"content": "x", **fields}).encode()


PICTURES = _message(images=[_picture("PNG", 7_000)] * 5)
PROGRESSIVE = _message(images=[_picture("JPEG", 6_000, progressive=True, subsampling=0)] * 5)
NOISE = _message(images=[_noise(4_900_000)] * 5)
COMMENTS = _message(images=[_of_comments(4_900_000)] * 5)
ARTIFACTS = _message(artifacts=[{"name": "a", "content": "é" * 200_000}])
PARTS = b'{"content": "x", "images": [%s{}]}' % (b"{}," * 13_000_000)
NESTED = b'{"content": ' + b"[" * 400_000
FILES = _message(files=[{"name": "a.pdf", "content": _noise(6_000_000)}] * 3)
BOMBS = _message(
    files=[
        {"name": name, "content": base64.b64encode(bomb()).decode()}
        for name, bomb in (
            ("a.pdf", inflating_page),
            ("b.pdf", inflating_objects),
            ("c.xlsx", far_corner),
        )
    ]
)


def to_chat(body: bytes) -> Door:
    async def door(bench: Bench, number: int) -> object:
        return await bench.post(number, f"/chat/conversations/{bench.chats[number]}/messages", body)

    return door


def to_path(path: str, body: bytes) -> Door:
    async def door(bench: Bench, number: int) -> object:
        return await bench.post(number, path, body)

    return door


async def v1(bench: Bench, number: int) -> object:
    body = json.loads(PICTURES) | {"conversation_id": bench.chats[number], "message": "x"}
    return await bench.post(number, "/api/v1/chat", json.dumps(body).encode())


def strangers(path: str, size: int, **headers: str) -> Door:
    async def door(bench: Bench, number: int) -> object:
        return (await bench.http.post(path, content=b"x" * size, headers=headers)).status_code

    return door


def forged(bench: Bench, number: int) -> Awaitable[object]:
    stamp = {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=00"}
    return strangers("/slack/events", 1_000_000, **stamp)(bench, number)


async def slow_stranger(bench: Bench, number: int) -> object:
    """Sends a little of a large body, and then nothing."""
    host, port = bench.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /new-chat HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n" + b"x" * 99
    )
    line = await reader.readline()
    writer.close()
    return line.split()[1].decode() if line else "closed"


def reading(path: str) -> Door:
    async def door(bench: Bench, number: int) -> object:
        return await bench.get(number, path.replace("{long}", bench.long_chat))

    return door


async def listing(bench: Bench, number: int) -> object:
    body = json.dumps({"chat": bench.long_chat}).encode()
    return await bench.post(number, "/list-messages", body)


async def deaf_socket(bench: Bench, number: int) -> object:
    """A socket that reads nothing while a long message is said in a chat that it follows."""
    where = bench.url.replace("http", "ws", 1) + "/ws"
    header = {"Authorization": f"Bearer {bench.tokens[number % len(bench.tokens)]}"}
    try:
        async with connect(where, additional_headers=header, proxy=None, max_queue=1) as socket:
            if number == 0:
                await asyncio.sleep(1)
                await bench.post(
                    0, "/new-chat", json.dumps({"initial_message": "é" * 200_000}).encode()
                )
            for _ in range(2_000):
                await asyncio.wait_for(socket.send("{}"), 1)
            await asyncio.sleep(2)
            return "open"
    except Exception as error:
        return type(error).__name__


async def nothing(bench: Bench, number: int) -> object:
    """The baseline: what another user waits for on this machine without load."""
    await asyncio.sleep(5)
    return "nothing"


DOORS: dict[str, Door] = {
    "nothing": nothing,
    "five PNGs of 7,000 x 7,000": to_chat(PICTURES),
    "the same by /new-chat": to_path(
        "/new-chat", PICTURES.replace(b'"content"', b'"initial_message"')
    ),
    "the same by /api/v1/chat": v1,
    "five progressive JPEGs of 6,000 x 6,000": to_chat(PROGRESSIVE),
    "five broken images of 4.9 MB": to_chat(NOISE),
    "five JPEGs of a million comments": to_chat(COMMENTS),
    "an artifact of 200,000 characters": to_chat(ARTIFACTS),
    "three files of 6 MB": to_chat(FILES),
    "three documents that inflate": to_chat(BOMBS),
    "JSON of 13 million objects": to_chat(PARTS),
    "JSON nested 400,000 deep": to_path("/list-chats", NESTED),
    "strangers with 40 MB": strangers("/new-chat", 40_000_000),
    "strangers who send slowly": slow_stranger,
    "/slack/events, unsigned, 1 MB": strangers("/slack/events", 1_000_000),
    "/slack/events, a forged signature, 1 MB": forged,
    "a chat of 100 long messages": reading("/chat/conversations/{long}"),
    "the same by /list-messages": listing,
    "the same as a file": reading("/chat/conversations/{long}/export?format=json"),
    "a search in long messages": reading("/chat/conversations?q=word%20other"),
    "/usage": reading("/usage?since=2020-01-01&by=day"),
    "sockets that do not read": deaf_socket,
    "/metrics": reading("/metrics"),
    "/readyz": reading("/readyz"),
    "/docs": reading("/docs"),
    "/openapi.json": reading("/openapi.json"),
    "/slack/install": reading("/slack/install"),
}


async def _fill(file: Path, team: str) -> tuple[list[str], str, str]:
    """The tokens of one person, somebody else's, and a chat of a hundred long messages."""
    database = Database.open(f"sqlite:///{file}")
    tokens, person = Tokens(database), User(team, "U0ALICE")
    many = [await tokens.issue(person) for _ in range(30)]
    other = await tokens.issue(User(team, "U0BOB"))
    chats, model = Chats(database), ModelRef("openai", "demo/quick")
    message = NewMessage("é" * 200_000, person.id)
    chat = (await chats.start(team=team, owner=person.id, model=model, message=message)).chat
    for _ in range(49):
        await chats.add_message(chat.id, message)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE answers SET state = 'ended', complete = 1"))
        await connection.execute(
            text("UPDATE messages SET status = 'done', text = :t"), {"t": message.text}
        )
    await database.close()
    return many, other, chat.id


@asynccontextmanager
async def running(folder: Path, times: int) -> AsyncIterator[Bench]:
    port = free_port()
    environment = {
        "SLACK_APP_TOKEN": "",
        "SLACK_SIGNING_SECRET": SECRET,
        "PORT": str(port),
        "OPENAI_MODELS": "",
    }
    world = _HttpCluster(folder, environment=environment)
    url = f"http://127.0.0.1:{port}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        world,
        httpx.AsyncClient(base_url=url, timeout=300, trust_env=False, limits=limits) as http,
    ):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
        tokens, other, long_chat = await _fill(world.database, world.slack.workspace.team_id)
        bench = Bench(url, world.processes[0], tokens, other, [], long_chat, http)
        for number in range(times):
            made = await http.post(
                "/chat/conversations",
                json={"model": EYE},
                headers={"Authorization": f"Bearer {tokens[number % len(tokens)]}"},
            )
            bench.chats.append(made.json()["conversation"]["id"])
        yield bench
        world.leave_unfinished()


class _HttpCluster(Cluster):
    """Slack's events would come by HTTP; none do."""

    async def connected(self, count: int) -> None:
        pass


async def try_door(bench: Bench, door: Door, times: int) -> tuple[int, float, Counter[str]]:
    """The most memory, the slowest answer to somebody else, and what was answered."""
    most, ended = 0, False

    async def watch() -> None:
        nonlocal most
        while not ended:
            most = max(most, bench.memory())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    async with somebody_else_asking(bench) as waits:
        outcomes = await asyncio.gather(
            *(door(bench, number) for number in range(times)), return_exceptions=True
        )
    ended = True
    await watching
    named = (
        type(each).__name__ if isinstance(each, BaseException) else str(each) for each in outcomes
    )
    return most, max(waits), Counter(named)


@asynccontextmanager
async def somebody_else_asking(bench: Bench) -> AsyncIterator[list[float]]:
    """Seconds that each of their requests took, once the block has ended."""
    command = (sys.executable, "-m", "tests.bench.asker", f"{bench.url}/chat/models", bench.other)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    waits = [float(await process.stdout.readline())]
    try:
        yield waits
        waits.append(float(await process.stdout.readline()))  # the one in progress
    finally:
        process.terminate()
        waits += map(float, (await process.stdout.read()).split())
        await process.wait()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--door", default="", help="only doors whose name contains this")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), options.times) as bench:
            print(f"{'at rest':42} {bench.memory() / 1e6:6.0f} MB", flush=True)
            for name, door in DOORS.items():
                if options.door not in name:
                    continue
                used = bench.seconds()
                most, slowest, answers = await try_door(bench, door, options.times)
                used = bench.seconds() - used
                bad = most > MOST_BYTES or slowest > LONGEST_WAIT
                failed |= bad
                shown = ", ".join(f"{count} x {answer}" for answer, count in answers.most_common())
                print(
                    f"{name:42} {most / 1e6:6.0f} MB {slowest:6.2f} s {used:6.2f} s  {shown}{'  <-' if bad else ''}",
                    flush=True,
                )
            print(f"{'at rest again':42} {bench.memory() / 1e6:6.0f} MB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
