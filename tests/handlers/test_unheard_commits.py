"""The connection to the database dies after COMMIT is carried out and before it is answered, whatever it was for.

Whoever did something is told and shown what came of it, at once and once, as if the answer had been heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot import strings
from bot.usage.limits import Budget, Period, Scope, Unit
from tests.access.test_channel_settings import save
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.conftest import WorldFactory
from tests.handlers.tcp_proxy import TcpProxy
from tests.handlers.test_dialogs import field_values, open_by_command, wait_for_dialog
from tests.handlers.test_header_menu import choose as choose_in_header
from tests.handlers.test_mute_database import PostgresReader
from tests.handlers.world import World, elements
from tests.tools.talk import asking, calling, script, tooled, until_parked

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("dialect", ["postgresql"])]

SETTINGS: dict[str, Any] = {
    "bobbin_admins": ("U0ALICE",),
    "bobbin_budget_user": Budget(Scope.USER, 10_000_000, Unit.TOKENS, Period.MONTH),
}
LONG = " ".join(f"w{n:03}" for n in range(400))

Act = Callable[[World, str], Awaitable[object]]
"""Does something and waits until its result is visible; the text is the chat's thread."""


def pressing(action: str, sees: Callable[[World, str], object], value: str | None = None) -> Act:
    """Presses an element of the newest message that has it."""

    async def act(world: World, thread: str) -> None:
        message = await world.until(
            lambda: [m for m in world.replies(thread) if elements(m, action)][-1], action
        )
        await world.slack.interactions.press("alice", message, action, value)
        await world.until(lambda: sees(world, thread), f"what {action} leads to")

    return act


def whispered(text: str) -> Callable[[World, str], object]:
    return lambda world, _: text in world.whispers("alice")


async def reply_while_it_writes(world: World, thread: str) -> None:
    ts = await world.slack.conversations.say("alice", "general", "And then?", thread)
    await world.until(lambda: world.slack.workspace.message("C0GENERAL", ts).reactions, "⏳")


async def ask_for_token(world: World, thread: str) -> None:
    (told,) = await world.slack.interactions.command("alice", "general", "/chats", "token")
    assert "bob_" in told.text
    assert len(world.rows("SELECT 1 FROM api_tokens")) == 1


async def change_settings(world: World, thread: str) -> None:
    assert await save(world, "Be brief.") == {}
    told = strings.CHANNEL_SAVED.format(channel="C0GENERAL")
    await world.until(lambda: told in world.whispers("alice"), "told")


async def rename(world: World, thread: str) -> None:
    await choose_in_header(world, thread, "rename")
    await wait_for_dialog(world)
    errors = await world.slack.views.submit("alice", {"bobbin.title": {"title": "Mine"}})
    assert errors == {}
    await world.until(lambda: "Mine" in str(world.header(thread).blocks), "the new title")


async def submit_dialog(world: World, thread: str) -> None:
    world.say("From the dialog.")
    await open_by_command(world)
    assert await world.slack.views.submit("alice", field_values("A new one?")) == {}
    question = await world.until(
        lambda: next(
            m
            for m in world.slack.workspace.messages("general")
            if m.user == world.slack.bot_user.id and "A new one?" in str(m.blocks)
        ),
        "the question",
    )
    await world.answered(question.ts)


async def test_an_unconfirmed_commit_is_applied_once_and_recognised(
    worlds: WorldFactory, migrated_url: str, tmp_path: Path
) -> None:
    async with (
        TcpProxy(migrated_url) as proxy,
        tooled(worlds, tmp_path, database_url=SecretStr(proxy.url), **SETTINGS) as (world, server),
    ):
        world._reader = PostgresReader(migrated_url)

        async def unheard(statement: bytes, act: Awaitable[object]) -> None:
            cut = proxy.cut_at(b"COMMIT", after=statement)
            await act
            async with asyncio.timeout(WAIT_TIMEOUT):
                await cut.wait()

        world.say(LONG, rate=5.0)
        ask = asyncio.ensure_future(world.ask("What is one?"))
        await unheard(b"INSERT INTO questions", ask)
        thread = ask.result()
        await unheard(b"INSERT INTO chats", world.choose(thread))
        await world.until(lambda: world.answers(thread), "the first words")
        for statement, act in WHILE_IT_WRITES:
            world.say("An answer.")
            await unheard(statement, act(world, thread))
        await world.answered(thread, 2)
        await world.idle()
        for statement, act in AFTERWARDS:
            await unheard(statement, act(world, thread))
            await world.idle()

        script(world, calling(("add", {"text": "x"}), saying="I add."), "Finished.")
        await world.slack.conversations.say("alice", "general", "Add x.", thread)
        await world.until(lambda: asking(world, thread), "the question")
        await until_parked(world)
        await unheard(b"decided_by=", pressing("tool_allow_once", finished)(world, thread))
        await world.idle()

        assert server.effects == ["add x"]
        assert strings.SAVE_FAILED not in world.whispers("alice")
        assert len(world.rows("SELECT 1 FROM questions")) == 2
        unanswered = [each for each in world.lines() if each["event"] == "commit_unanswered"]
        assert {each["outcome"] for each in unanswered} == {"committed"}


def finished(world: World, thread: str) -> object:
    return [m for m in world.answers(thread) if "Finished." in str(m.blocks) + m.text]


WHILE_IT_WRITES: list[tuple[bytes, Act]] = [
    (b"INSERT INTO answers", reply_while_it_writes),
    (b"stop_source=", pressing("stop_answer", lambda world, thread: world.ended(thread))),
]
AFTERWARDS: list[tuple[bytes, Act]] = [
    (
        b"retry_requested=",
        pressing("retry_answer", lambda world, thread: world.ended(thread)[0]["status"] == "done"),
    ),
    (b"INSERT INTO feedback", pressing("feedback", whispered(strings.FEEDBACK_THANKS))),
    (b"INSERT INTO done_once", pressing("feedback", lambda *_: True)),
    (b"INSERT INTO api_tokens", ask_for_token),
    (b"INSERT INTO channel_settings", change_settings),
    (b"UPDATE chats SET title=", rename),
    (b"INSERT INTO questions", submit_dialog),
]
