"""Forty answers at once, and what happens beside them: mentions in the same channel, and a process that is killed.

    python -m tests.bench.crowd [--only menus kill approval tool document title]

`menus`: seconds from a mention to its menu while forty answers run in that channel. `kill`: the process that writes
forty answers is killed and another one started. It claims them and asks the model again, which sends the same words;
seconds from the kill and from the claim until an answer changes in Slack, and until it shows more than before.
The others: the same for ten answers that wait for approval (seconds from the press, after the kill), are in a tool
call, read a document, or have a title due (seconds from the new process's connecting to the title).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from bot.sandbox.state.records import Message
from tests.bench import stages
from tests.bench.environment import ASKER, Environment, StormThread, open_environment, script

ANSWERS = 40
LONG = script(600, 30.0)
"""Twenty seconds: they run as long as the mentions come."""
USUAL = script(200, 40.0)
"""As in the storms."""
MENTIONS, MENTION_INTERVAL = 15, 1.0
CHANNELS = 10
"""Over which the answers are spread that are killed."""
WRITTEN_FOR = 2.0
"""Seconds from the last question to the kill."""
PATIENCE = 90.0


async def menus() -> str:
    async with open_environment(ANSWERS, 1, LONG) as environment:
        channel = environment.threads[0].channel
        await _ask_all(environment)
        said = []
        for number in range(MENTIONS):
            text = f"<@{environment.slack.bot_user.id}> Something else, number {number}."
            said.append(await environment.slack.conversations.say(ASKER, channel, text))
            await asyncio.sleep(MENTION_INTERVAL)
        waits = {ts: await _menu_wait(environment, channel, ts) for ts in said}
        return _line("menu", waits)


async def _menu_wait(environment: Environment, channel: str, ts: str) -> float:
    thread = StormThread(channel, ts, "")
    await _until(lambda: bool(_shown(environment, thread)))
    shown = _shown(environment, thread)
    return (float(shown[0].ts) if shown else environment.slack.workspace.clock()) - float(ts)


async def kill() -> str:
    async with open_environment(ANSWERS, CHANNELS, USUAL) as environment:
        await _ask_all(environment)
        await asyncio.sleep(WRITTEN_FOR)
        dead = set(_owners(environment).values())
        environment.bot.process.kill()
        await environment.bot.process.wait()
        killed_at = environment.slack.workspace.clock()
        lengths = {each.root: _length(environment, each) for each in environment.threads}
        assert environment.launch is not None
        await environment.launch()
        claimed_at = await _claims(environment, dead)
        changed, longer = {}, {}
        for each in environment.threads:
            changed[each.root] = await _shows(environment, each, killed_at, 1)
            longer[each.root] = await _shows(environment, each, killed_at, lengths[each.root] + 1)
        visible = sum(length > 0 for length in lengths.values())
        since_kill = {root: at - killed_at for root, at in longer.items()}
        return "\n".join(
            [
                f"killed with {visible} of {ANSWERS} answers visible",
                _line("change after claim", {r: changed[r] - at for r, at in claimed_at.items()}),
                _line("more after claim", {r: longer[r] - at for r, at in claimed_at.items()}),
                _line("more after kill", since_kill),
            ]
        )


async def _claims(environment: Environment, dead: set[str]) -> dict[str, float]:
    """When another process was first seen to hold each thread's answer."""
    found: dict[str, float] = {}

    def look() -> bool:
        for thread, owner in _owners(environment).items():
            if owner not in dead:
                found.setdefault(thread, environment.slack.workspace.clock())
        return len(found) >= ANSWERS

    await _until(look)
    return found


def _owners(environment: Environment) -> Mapping[str, str]:
    """Which worker holds the answer of each thread."""
    query = (
        "SELECT c.thread, a.owner FROM answers a JOIN chats c ON c.id = a.chat_id "
        "WHERE a.state = 'running' AND a.owner IS NOT NULL"
    )
    connection = sqlite3.connect(environment.database.removeprefix("sqlite:///"))
    try:
        return dict(connection.execute(query).fetchall())
    finally:
        connection.close()


def _length(environment: Environment, thread: StormThread) -> int:
    """How much of the thread's answer is visible."""
    return max((len(message.text) for message in _shown(environment, thread)), default=0)


async def _shows(environment: Environment, thread: StormThread, after: float, length: int) -> float:
    """When the thread's answer first showed so much, not counting what it showed before."""

    def moments() -> list[float]:
        states = [state for message in _shown(environment, thread) for state in message.states]
        return [state.at for state in states if state.at > after and len(state.text) >= length]

    await _until(lambda: bool(moments()))
    return min(moments(), default=environment.slack.workspace.clock())


def _shown(environment: Environment, thread: StormThread) -> list[Message]:
    """The bot's messages in a thread."""
    messages = environment.slack.workspace.thread(thread.channel, thread.root)
    return [message for message in messages if message.user == environment.slack.bot_user.id]


async def _ask_all(environment: Environment) -> None:
    for thread in environment.threads:
        await environment.slack.conversations.say(
            ASKER, thread.channel, thread.question, thread.root
        )
    await _until(lambda: len(environment.models.requests()) > ANSWERS)  # including the warm-up


async def _until(is_true: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not is_true() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)


def _line(name: str, seconds: Mapping[str, float]) -> str:
    if not seconds:
        return f"{name:<18}   0 times"
    median, worst = statistics.median(seconds.values()), max(seconds.values())
    load = os.getloadavg()[0]
    return f"{name:<18} {len(seconds):>3} times: median {median:5.2f} s, worst {worst:5.2f} s (load {load:.1f})"


async def killed_at(stage: stages.Stage) -> str:
    outcome = await stages.measure(stage)
    return "\n".join(
        [
            f"killed while each of {stages.ANSWERS} {stage.called}",
            _line(f"on after {stage.since}", outcome.since),
            _line("on after kill", outcome.since_kill),
        ]
    )


PARTS: dict[str, Callable[[], Awaitable[str]]] = {
    "menus": menus,
    "kill": kill,
    **{stage.name.lower(): partial(killed_at, stage) for stage in stages.Stage},
}


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    for name in parser.parse_args().only:
        print(await PARTS[name](), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
