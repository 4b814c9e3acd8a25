"""Messages that are posted at a scheduled time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox, WorkspaceFile
from bot.sandbox.app_permissions import SCOPES
from tests.sandbox.conftest import client_of, refusal
from tests.sandbox.web_api.conftest import GENERAL


class Later:
    """The time of day, ahead of the machine's."""

    ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


async def test_a_scheduled_message_is_posted_when_it_is_due(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    """Under its own new ts, with its blocks, in its thread; then it does not wait any more."""
    root = await slack.conversations.say("alice", "general", "remind us")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "*now*"}}
    due = int(slack.workspace.clock()) + 2
    made = await web.chat_scheduleMessage(
        channel="#general", text="now", post_at=due, thread_ts=root, blocks=[section]
    )
    waiting = (await web.chat_scheduledMessages_list(channel=GENERAL))["scheduled_messages"]
    assert [each["id"] for each in waiting] == [made["scheduled_message_id"]]
    message = await slack.until(lambda: slack.workspace.thread("general", root)[1])
    assert (message.text, message.blocks[0]["type"]) == ("*now*", "section")
    assert float(message.ts) >= due
    assert (await web.chat_scheduledMessages_list())["scheduled_messages"] == []


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-5, "time_in_past"), (121 * 86_400, "time_too_far"), (None, "invalid_time")],
)
async def test_times_out_of_range_are_refused(
    slack: Sandbox, web: AsyncWebClient, seconds: int | None, error: str
) -> None:
    when = "soon" if seconds is None else str(int(slack.workspace.clock()) + seconds)
    call = web.api_call(
        "chat.scheduleMessage", json={"channel": GENERAL, "text": "x", "post_at": when}
    )
    assert await refusal(call) == error


async def test_a_deleted_scheduled_message_is_not_posted(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    due = int(slack.workspace.clock()) + 2
    first = await web.chat_scheduleMessage(channel=GENERAL, text="never", post_at=due)
    await web.chat_scheduleMessage(channel=GENERAL, text="later", post_at=due)
    taken = {"channel": GENERAL, "scheduled_message_id": first["scheduled_message_id"]}
    await web.chat_deleteScheduledMessage(**taken)
    gone = await refusal(web.chat_deleteScheduledMessage(**taken))
    assert gone == "invalid_scheduled_message_id"
    await slack.until(lambda: slack.workspace.messages("general"))
    assert [message.text for message in slack.workspace.messages("general")] == ["later"]


async def test_what_came_due_while_the_sandbox_was_closed_is_posted_at_the_next_start(
    tmp_path: Path,
) -> None:
    """With everything else that was kept: pins, bookmarks, new channels."""
    path, clock = tmp_path / "workspace.sqlite3", Later()
    async with Sandbox(file=WorkspaceFile.open(path), scopes=SCOPES, clock=clock) as slack:
        web = client_of(slack, None)
        made = (await web.conversations_create(name="plans"))["channel"]["id"]
        await web.chat_scheduleMessage(channel=made, text="hello", post_at=int(clock()) + 3600)
        await web.bookmarks_add(channel_id=made, title="x", type="link", link="https://x.example")
        pinned = await web.chat_postMessage(channel=made, text="pinned")
        await web.pins_add(channel=made, timestamp=pinned["ts"])
        await asyncio.sleep(0)
    clock.ahead = 7200
    async with Sandbox(file=WorkspaceFile.open(path), scopes=SCOPES, clock=clock) as slack:
        await slack.until(lambda: len(slack.workspace.messages("plans")) == 2)
        assert [message.text for message in slack.workspace.messages("plans")] == [
            "pinned",
            "hello",
        ]
        web = client_of(slack, None)
        assert len((await web.pins_list(channel=made))["items"]) == 1
        assert len((await web.bookmarks_list(channel_id=made))["bookmarks"]) == 1
        assert (await web.chat_scheduledMessages_list())["scheduled_messages"] == []
