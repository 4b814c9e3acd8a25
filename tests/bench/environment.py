"""The bench's stage: a strict Slack and a model server in this process, `bobbin run` in others, chats long begun."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.routing import Mount

from bot.domain import AnswerResult, ModelRef, Status, Thread, TitleBy
from bot.manifest import bot_scopes, manifest
from bot.sandbox.limits import Limits
from bot.sandbox.models.scripts import ModelScript, words
from bot.sandbox.models.server import (
    AnswerFunction,
    ModelRequest,
    ModelServer,
    create_models_app,
)
from bot.sandbox.server import Sandbox
from bot.sandbox.state.records import Message
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.services import free_port

MODEL = "demo/quick"
ASKER = "alice"
SENTENCE = (
    "The quick brown fox jumps over the lazy dog while the rain falls softly on the old tin roof"
)

WARM_UP = "Are you there?"
WARMING = ModelScript(["Yes"])
BUDGETS_FULL = 5.0
"""Seconds after which Slack has given back what one short answer took."""


@dataclass(frozen=True)
class StormThread:
    """A chat that has had its first exchange, and the question that the storm puts to it."""

    channel: str
    root: str
    question: str
    owner: str = ASKER


@dataclass(frozen=True)
class Deployment:
    """How the bot is run: by default as one process with a file."""

    database: str | None = None
    redis: str | None = None
    replicas: int = 1
    http: bool = False
    """Slack's events come as requests instead of by a socket; one process alone."""
    rate_scale: float = 1.0
    """How many times as much as Slack's rates is allowed, and known to the bot."""
    limits: Limits = field(default_factory=lambda: Limits(burst=0.2))
    plain: bool = False
    """The plain bot in the place of this one."""


@dataclass
class Environment:
    slack: Sandbox
    models: ModelServer
    bots: list[Bot]
    threads: list[StormThread] = field(default_factory=list)
    start: float = 0.0
    """Seconds from the bot's first process to the last one's being connected."""
    database: str = ""
    launch: Callable[[], Awaitable[Bot]] | None = None
    """Starts one more process of the bot, which ends with the environment."""

    @property
    def bot(self) -> Bot:
        return self.bots[0]


@dataclass(frozen=True)
class Bot:
    """The process under test, as the kernel accounts for it."""

    process: asyncio.subprocess.Process

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def open_environment(
    count: int,
    channels: int,
    script: ModelScript | AnswerFunction,
    deployment: Deployment = Deployment(),
    people: Sequence[str] = (ASKER,),
) -> AsyncIterator[Environment]:
    """So many chats over so many channels, in a workspace that allows a fifth of a minute's calls at once.

    Every question is answered with `script`. The chats belong to `people` in turn, who are in all of the channels.
    """
    port = free_port() if deployment.http else 0
    models = ModelServer()
    models.answer_with(MODEL, _answering(script))
    app = manifest()
    slack = Sandbox(
        limits=deployment.limits,
        scopes=bot_scopes(),
        events=app["settings"]["event_subscriptions"]["bot_events"],
        mounts=[Mount("/models/v1", create_models_app(models))],
        request_url=f"http://127.0.0.1:{port}/slack/events" if deployment.http else None,
    )
    members = [slack.bot_user.id, *(_person(slack, name) for name in {ASKER, *people})]
    rooms = [slack.workspace.add_channel(f"room{number}", members) for number in range(channels)]
    threads = [
        _thread(slack, rooms[number % channels].id, number, people[number % len(people)])
        for number in range(count)
    ]
    warm = _thread(slack, slack.workspace.add_channel("lobby", members).id, count, ASKER)
    folder = Path(tempfile.mkdtemp(prefix="bobbin-bench-"))
    try:
        url = deployment.database or f"sqlite:///{folder / 'bobbin.sqlite3'}"
        await _begin_chats(url, slack, [*threads, warm])
        async with slack, AsyncExitStack() as stack:

            async def launch() -> Bot:
                bot = await _run(_environment(slack, url, port, deployment), deployment)
                stack.push_async_callback(_end, bot.process)
                return bot

            began = asyncio.get_running_loop().time()
            bots = [await launch() for _ in range(deployment.replicas)]
            await _connected(slack, port, deployment)
            start = asyncio.get_running_loop().time() - began
            await _warm_up(slack, warm)
            yield Environment(slack, models, bots, threads, start, url, launch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answering(script: ModelScript | AnswerFunction) -> AnswerFunction:
    def answering(asked: ModelRequest) -> ModelScript | None:
        if question_of(asked).endswith(WARM_UP):
            return WARMING
        return script if isinstance(script, ModelScript) else script(asked)

    return answering


def _person(slack: Sandbox, name: str) -> str:
    workspace = slack.workspace
    return (workspace.user_named(name) or workspace.add_user(name)).id


async def _warm_up(slack: Sandbox, thread: StormThread) -> None:
    """One small answer, and time for the budgets to be full again: what a start has to do is not what is measured."""
    await slack.conversations.say(ASKER, thread.channel, WARM_UP, thread.root)
    await slack.until(
        lambda: "Yes" in slack.workspace.thread(thread.channel, thread.root)[-1].text,
        30,
        "the first answer",
    )
    await asyncio.sleep(BUDGETS_FULL)


def script(count: int, rate: float) -> ModelScript:
    """So many words, at so many a second."""
    said = itertools.islice(itertools.cycle(SENTENCE.split()), count)
    return ModelScript(words(" ".join(said)), rate=rate)


def question_of(asked: ModelRequest) -> str:
    """The last thing that a model was asked."""
    return str(asked.messages[-1]["content"])


def _thread(slack: Sandbox, channel: str, number: int, owner: str) -> StormThread:
    """Its first message exists already when the app connects: there is no event for it."""
    workspace = slack.workspace
    root = Message(
        channel,
        workspace.next_ts(),
        workspace.user(owner).id,
        None,
        [workspace.revision("mrkdwn", "An old question", [])],
    )
    workspace.channels[channel].messages[root.ts] = root
    return StormThread(channel, root.ts, f"Question number {number}, please.", owner)


async def _begin_chats(url: str, slack: Sandbox, threads: list[StormThread]) -> None:
    """The first exchange of each, as it is in the database long after the answer was shown."""
    database = Database.open(url)
    await database.migrate()
    chats, answers = Chats(database), Answers(database)
    team = slack.workspace.team_id
    for thread in threads:
        owner, name, root = slack.workspace.user(thread.owner).id, thread.owner, thread.root
        said = await chats.start(
            team=team,
            owner=owner,
            model=ModelRef("openai", MODEL),
            message=NewMessage("An old question", owner, name, source=root, ts=root),
            thread=Thread(team, thread.channel, thread.root),
        )
        await chats.set_title(said.chat.id, "An old chat", TitleBy.PERSON)
        claimed = await answers.claim(said.chat.id, "bench", 60.0)
        assert claimed is not None
        await answers.save_result(
            claimed.id, "bench", AnswerResult(Status.DONE, "An old answer", seconds=1.0)
        )
        await answers.finish(claimed.id, "bench")
    await database.close()


async def _connected(slack: Sandbox, port: int, deployment: Deployment) -> None:
    if not deployment.http:
        await slack.until(
            lambda: len(slack.sockets.connections) >= deployment.replicas, 60, "the bot's sockets"
        )
        return
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
        asyncio.timeout(60),
    ):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


def _environment(
    slack: Sandbox, database: str, port: int, deployment: Deployment
) -> dict[str, str]:
    by_socket, by_request = (
        {"SLACK_APP_TOKEN": slack.app_token},
        {"SLACK_SIGNING_SECRET": slack.signing_secret},
    )
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        **(by_request if deployment.http else by_socket),
        **({"REDIS_URL": deployment.redis} if deployment.redis else {}),
        "SLACK_API_URL": slack.api_url,
        "OPENAI_BASE_URL": f"{slack.url}/models/v1",
        "OPENAI_API_KEY": "sk-bench",
        "DATABASE_URL": database,
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }


async def _run(settings: dict[str, str], deployment: Deployment) -> Bot:
    surroundings = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "PYTHONPATH")
        if name in os.environ
    }
    scaled = f"from tests.cluster.scaled_bot import run_scaled; run_scaled({deployment.rate_scale})"
    how = ["-m", "bot", "run"] if deployment.rate_scale == 1.0 else ["-c", scaled]
    if deployment.plain:
        how = ["-m", "tests.bench.baseline_bot"]
    return Bot(
        await asyncio.create_subprocess_exec(sys.executable, *how, env=surroundings | settings)
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()
