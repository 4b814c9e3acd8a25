"""This version starts on the database and the Slack messages of the version before, which was killed in mid-answer."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest

from bot.domain import User
from bot.sandbox.state.records import Message, Revision, Stream
from bot.sandbox.state.workspace import Workspace
from storage.api_tokens import Tokens
from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.installations import Installations
from storage.people import People
from storage.tables import metadata
from tests.deadlines import patient_timing
from tests.handlers.world import DATABASE, World, below, elements, shown
from tests.local_http import local_client

DATA = Path(__file__).parents[1] / "storage" / "data"
SLACK: dict[str, Any] = json.loads((DATA / "slack.json").read_text())
THREADS: dict[str, str] = SLACK["threads"]
SECRET_KEY = "a long random text of the installation"
WHOLE = " ".join(f"Word{n} and q{n}." for n in range(60))
DOWNTIME = 20.0
"""Seconds between the last thing that the old version stored and the start of this one: longer than a lease."""
TIMING = patient_timing(late_effect=0.5, sweep_interval=0.3)
"""What the old version left is looked after soon."""


def restore_database(path: Path) -> None:
    """Load the dump, with all its times moved so that the newest is `DOWNTIME` seconds ago."""
    connection = sqlite3.connect(path)
    connection.executescript((DATA / "database.sql").read_text())
    (newest,) = connection.execute("SELECT max(updated_at) FROM chats").fetchone()
    downtime = f"(julianday('now') - julianday('{newest}')) || ' days', '-{DOWNTIME} seconds'"
    for table in metadata.sorted_tables:
        # Those of the old version:
        for (column,) in connection.execute(f"SELECT name FROM pragma_table_info('{table.name}')"):
            if column.endswith(("_at", "_until")):
                moved = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, {downtime})"
                connection.execute(f"UPDATE {table.name} SET {column} = {moved}")
    connection.commit()
    connection.close()


def restore_slack(workspace: Workspace) -> None:
    """Put the old version's messages, streams and agent sessions into the workspace."""
    for each in deepcopy(SLACK["messages"]):
        workspace.post(_message(each, workspace.clock()))
    for state in SLACK["states"]:
        workspace.set_session(
            state["channel"], state["thread"], status=state["session"], title=state["title"]
        )


def _message(each: dict[str, Any], now: float) -> Message:
    plain = {key: each.get(key) for key in ("bot_id", "app_id", "metadata", "typed", "thread_ts")}
    text = each.get("text", "")
    revision = Revision(
        each["format"], [text], [(now, len(text))], each.get("blocks", []), each.get("fallback", "")
    )
    message = Message(
        channel=each["channel"],
        ts=each["ts"],
        user=each["user"],
        revisions=[revision],
        reactions=each.get("reactions", {}),
        **cast("Any", plain),
    )
    if stream := each.get("stream"):
        message.stream = Stream(started_at=now, expires_at=now + 300.0, **stream)
    return message


class UpgradedWorld(World):
    """A world whose bot starts where the version before was killed."""

    restored = False

    async def start_bot(self, **settings: Any) -> None:
        if not self.restored:
            restore_slack(self.slack.workspace)
            self.restored = True
        await super().start_bot(**settings)

    def statuses(self, thread: str) -> list[str]:
        """The status of each answer of the thread's chat."""
        return [m["status"] for m in self.messages(thread) if m["role"] == "assistant"]


@pytest.fixture
async def world(tmp_path: Path, log: io.StringIO) -> AsyncIterator[UpgradedWorld]:
    restore_database(tmp_path / DATABASE)
    world = UpgradedWorld(tmp_path, log, timing=TIMING)
    world.reply_to(
        {
            "Stop this answer.": WHOLE,
            "Finish this answer.": WHOLE,
            "And what does bob ask?": WHOLE,
            "And the one that waits?": "It waited.",
            "A question that the model refuses.": "It does not refuse now.",
            "A question to a model that is gone.": "Another model answers.",
            "Which model shall answer this?": "This one.",
            "Where is the menu of this question?": "Here.",
            "I ask this.": "Then I answer this.",
        }
    )
    async with world:
        yield world


async def test_answers_in_mid_stream_are_finished_in_their_old_messages(
    world: UpgradedWorld,
) -> None:
    old = {m["ts"] for m in SLACK["messages"]}
    running, edited, stopped = (THREADS[name] for name in ("running", "edited", "stopped"))
    for thread, texts in (
        (running, [WHOLE, "It waited."]),
        (edited, ["An answer to alice.", WHOLE]),
        (stopped, [WHOLE]),
    ):
        assert await world.answered(thread, len(texts)) == texts
        assert world.statuses(thread) == ["done"] * len(texts)
    await world.idle()
    resumed = (world.answers(running)[0], world.answers(edited)[1], world.answers(stopped)[0])
    for message in resumed:
        assert message.ts in old
        assert not message.streaming
        assert "Demo: Quick · " in below(message)
    waited = world.slack.workspace.thread("general", running)[3]
    assert "waits" in waited.text
    assert waited.reactions == {}


async def test_the_stop_button_of_the_version_before_stops_its_answer(
    tmp_path: Path, log: io.StringIO
) -> None:
    restore_database(tmp_path / DATABASE)
    world = UpgradedWorld(tmp_path, log, timing=TIMING)
    thread = THREADS["stopped"]
    world.reply_to({"Stop this answer.": WHOLE * 5}, rate=20)
    async with world:
        resumed = world.answers(thread)[0]
        before = len(resumed.states)
        await world.until(lambda: len(resumed.states) > before + 2, "the answer goes on")
        await world.slack.interactions.press("bob", world.header(thread), "stop_answer")
        await world.until(lambda: world.statuses(thread) == ["stopped"], "it is stopped")
        await world.answered(THREADS["running"], 2)
        await world.answered(THREADS["edited"], 2)
        await world.idle()
        assert not resumed.streaming
        assert shown(resumed).startswith("Word0 and q0. Word1")


async def test_retry_of_the_version_before_answers_the_same_message(world: UpgradedWorld) -> None:
    thread = THREADS["failed"]
    (failed,) = world.answers(thread)
    await world.slack.interactions.press("bob", failed, "retry_answer")
    await world.until(lambda: world.statuses(thread) == ["done"], "the answer")
    await world.idle()
    (answer,) = world.answers(thread)
    assert (answer.ts, shown(answer)) == (failed.ts, "It does not refuse now.")
    assert elements(answer, "retry_answer") == []


async def test_another_model_can_be_chosen_in_a_failed_answer_of_the_version_before(
    world: UpgradedWorld,
) -> None:
    thread = THREADS["model_gone"]
    (failed,) = world.answers(thread)
    await world.slack.interactions.choose("alice", failed, "retry_with_model", "openai:demo/quick")
    await world.until(lambda: world.statuses(thread) == ["done"], "the answer")
    await world.idle()
    (answer,) = world.answers(thread)
    assert (answer.ts, shown(answer)) == (failed.ts, "Another model answers.")
    assert "Demo: Quick" in world.header(thread).text


async def test_a_menu_of_the_previous_version_starts_the_chat(world: UpgradedWorld) -> None:
    thread = THREADS["menu"]
    (menu,) = world.menus(thread)
    await world.choose(thread)
    assert await world.answered(thread) == ["This one."]
    await world.idle()
    assert world.menus(thread) == []
    assert world.header(thread).ts == menu.ts


async def test_a_question_whose_menu_was_never_posted_gets_it(world: UpgradedWorld) -> None:
    thread = THREADS["no_menu"]
    await world.until(lambda: world.menus(thread), "the menu")
    await world.choose(thread)
    assert await world.answered(thread) == ["Here."]
    await world.idle()


async def test_a_mention_without_a_question_takes_its_text_from_the_next_reply(
    world: UpgradedWorld,
) -> None:
    thread = THREADS["no_text"]
    await world.slack.conversations.say("bob", "general", "I ask this.", thread)
    await world.choose(thread, "bob")
    assert await world.answered(thread) == ["Then I answer this."]
    await world.idle()


async def test_feedback_of_the_version_before_is_kept_and_replaced(world: UpgradedWorld) -> None:
    (answer,) = world.answers(THREADS["done"])
    answer_id = world.messages(THREADS["done"])[1]["id"]
    for user, value in (("bob", -1), ("alice", 1)):
        await world.slack.interactions.press(user, answer, "feedback", f"{answer_id}:{value}")
    await world.idle()
    kept = world.rows("SELECT user, message_id, value FROM feedback ORDER BY user")
    assert kept == [
        {"user": "U0ALICE", "message_id": answer_id, "value": 1},
        {"user": "U0BOB", "message_id": answer_id, "value": -1},
    ]


async def test_a_chat_of_the_previous_version_continues(world: UpgradedWorld) -> None:
    thread = THREADS["done"]
    await world.slack.conversations.say("alice", "general", "I ask this.", thread)
    assert await world.answered(thread, 2) == ["The first answer.", "Then I answer this."]
    await world.idle()
    (request,) = [each for each in world.requests() if each[-1][1] == "I ask this."]
    assert request[1:] == [
        ("user", "The first question."),
        ("assistant", "The first answer."),
        ("user", "I ask this."),
    ]


async def test_api_tokens_of_the_version_before_are_valid(world: UpgradedWorld) -> None:
    assert world.bot is not None
    headers = {"Authorization": f"Bearer {SLACK['token']}"}
    async with local_client(base_url=world.bot.url, headers=headers) as client:
        listed = await client.get("/chat/conversations")
    assert listed.status_code == 200
    assert {each["title"] for each in listed.json()["conversations"]} >= {
        "The first question",
        "A question of several people",
    }
    await world.idle()


async def test_tokens_installations_and_profiles_of_the_version_before_can_be_read(
    tmp_path: Path,
) -> None:
    restore_database(tmp_path / DATABASE)
    database = Database.open(f"sqlite:///{tmp_path / DATABASE}")
    await database.migrate()
    alice = User(SLACK["team"], "U0ALICE")
    assert await Tokens(database).user_of(SLACK["token"]) == alice
    assert str((await People(database).get(alice)).default_model) == "openai:demo/quick"
    installations = Installations(database, TokenCipher(f"a-newer-key {SECRET_KEY}"))
    installed = await installations.find("T0OTHER")
    assert installed is not None
    assert installed.bot_token == "xoxb-of-the-other-workspace"
    assert await installations.rotate_tokens() == 1
    assert await Installations(database, TokenCipher("a-newer-key")).find("T0OTHER") == installed
    await database.close()
