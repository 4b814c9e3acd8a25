"""The bench's stage: a strict Slack and a model server in this process, `bobbin run` in another, chats long begun."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.routing import Mount

from bot.domain import Ending, ModelRef, Place, Status, TitleBy
from bot.manifest import bot_scopes, manifest
from bot.sandbox.limits import Limits
from bot.sandbox.model_scripts import ModelScript, words
from bot.sandbox.models import Asked, ModelServer, create_models_app
from bot.sandbox.records import Message
from bot.sandbox.server import Sandbox
from storage.chats import Chats, NewMessage
from storage.database import Database
from storage.replies import Replies

MODEL = "demo/quick"
ASKER = "alice"
SENTENCE = "The quick brown fox jumps over the lazy dog while the rain falls softly on the old tin roof"

WARM_UP = "Are you there?"
WARMING = ModelScript(["Yes"])
BUDGETS_FULL = 5.0
"""Seconds after which Slack has given back what one short answer took."""


@dataclass(frozen=True)
class Thread:
    """A chat that has had its first exchange, and the question that the storm puts to it."""

    channel: str
    root: str
    question: str


@dataclass
class Stage:
    slack: Sandbox
    models: ModelServer
    bot: Bot
    threads: list[Thread] = field(default_factory=list)


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
async def stage(count: int, channels: int, script: ModelScript) -> AsyncIterator[Stage]:
    """So many chats over so many channels, in a workspace that allows a fifth of a minute's calls at once.

    Every question is answered with `script`.
    """
    models = ModelServer()
    models.answer_with(MODEL, lambda asked: WARMING if question_of(asked).endswith(WARM_UP) else script)
    app = manifest()
    slack = Sandbox(
        limits=Limits(burst=0.2),
        scopes=bot_scopes(),
        events=app["settings"]["event_subscriptions"]["bot_events"],
        mounts=[Mount("/models/v1", create_models_app(models))],
    )
    members = [slack.user(ASKER).id, slack.bot_user.id]
    rooms = [slack.workspace.add_channel(f"room{number}", members) for number in range(channels)]
    threads = [_thread(slack, rooms[number % channels].id, number) for number in range(count)]
    warm = _thread(slack, slack.workspace.add_channel("lobby", members).id, count)
    folder = Path(tempfile.mkdtemp(prefix="bobbin-bench-"))
    try:
        url = f"sqlite:///{folder / 'bobbin.sqlite3'}"
        await _begin_chats(url, slack, [*threads, warm])
        async with slack:
            bot = await _run(slack, url)
            try:
                await slack.until(slack.sockets.open, 30, "the bot's socket")
                await _warm_up(slack, warm)
                yield Stage(slack, models, bot, threads)
            finally:
                await _end(bot.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _warm_up(slack: Sandbox, thread: Thread) -> None:
    """One small answer, and time for the budgets to be full again: what a start has to do is not what is measured."""
    await slack.say(ASKER, thread.channel, WARM_UP, thread.root)
    await slack.until(lambda: slack.count("chat.stopStream"), 30, "the first answer")
    await asyncio.sleep(BUDGETS_FULL)


def script(count: int, rate: float) -> ModelScript:
    """So many words, at so many a second."""
    said = itertools.islice(itertools.cycle(SENTENCE.split()), count)
    return ModelScript(words(" ".join(said)), rate=rate)


def question_of(asked: Asked) -> str:
    """The last thing that a model was asked."""
    return str(asked.messages[-1]["content"])


def _thread(slack: Sandbox, channel: str, number: int) -> Thread:
    """Its first message stands already when the app connects: no event tells of it."""
    workspace = slack.workspace
    root = Message(
        channel, workspace.next_ts(), slack.user(ASKER).id, None, [workspace.revision("mrkdwn", "An old question", [])]
    )
    workspace.channels[channel].messages[root.ts] = root
    return Thread(channel, root.ts, f"Question number {number}, please.")


async def _begin_chats(url: str, slack: Sandbox, threads: list[Thread]) -> None:
    """The first exchange of each, as it stands in the database when the answer has long been shown."""
    database = Database.open(url)
    await database.migrate()
    chats, replies = Chats(database), Replies(database)
    team, owner = slack.workspace.team_id, slack.user(ASKER).id
    for thread in threads:
        said = await chats.start(
            team=team,
            owner=owner,
            model=ModelRef("openai", MODEL),
            message=NewMessage("An old question", owner, ASKER, source=thread.root, ts=thread.root),
            place=Place(team, thread.channel, thread.root),
        )
        await chats.set_title(said.chat.id, "An old chat", TitleBy.PERSON)
        claimed = await replies.claim(said.chat.id, "bench", 60.0)
        assert claimed is not None
        await replies.written(claimed.id, "bench", Ending(Status.DONE, "An old answer", seconds=1.0))
        await replies.finish(claimed.id, "bench")
    await database.close()


async def _run(slack: Sandbox, database: str) -> Bot:
    settings = {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "OPENAI_BASE_URL": f"{slack.url}/models/v1",
        "OPENAI_API_KEY": "sk-bench",
        "DATABASE_URL": database,
        "PORT": "0",
        "LOG_LEVEL": "WARNING",
    }
    surroundings = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return Bot(await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", "run", env=surroundings | settings))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()
