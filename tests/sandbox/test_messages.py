"""Posting, editing, deleting and reading messages: what Slack accepts, and the errors with which it refuses."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Limits, Sandbox
from tests.sandbox.conftest import client_of, refusal

GENERAL = "C0GENERAL"
DIVIDERS: list[dict[str, Any]] = [{"type": "divider"}] * 51


async def test_a_message_keeps_every_state_that_people_saw(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, markdown_text="**one**")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "two"}}
    await web.chat_update(channel=GENERAL, ts=posted["ts"], text="fallback", blocks=[section])
    message = slack.workspace.message("general", posted["ts"])
    assert [state.text for state in message.states] == ["**one**", "two"]
    assert message.states[0].at < message.states[1].at
    assert message.latest.fallback == "fallback"
    assert slack.refusals == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, "no_text"),
        ({"markdown_text": "x", "text": "x"}, "markdown_text_conflict"),
        ({"markdown_text": "x", "blocks": [{"type": "divider"}]}, "markdown_text_conflict"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"text": "x", "blocks": DIVIDERS}, "invalid_blocks"),
        ({"text": "x", "thread_ts": "1.000001"}, "invalid_thread_ts"),
        ({"text": "x", "thread_ts": "reply"}, "invalid_thread_ts"),
        ({"text": "x", "channel": "C0NOWHERE"}, "channel_not_found"),
        ({"text": "x", "channel": "C0WATERCOOLER"}, "not_in_channel"),
        ({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
    ],
)
async def test_invalid_posts_are_refused(
    slack: Sandbox, web: AsyncWebClient, content: Any, error: str
) -> None:
    root = await slack.conversations.say("alice", "general", "root")
    reply = await slack.conversations.say("bob", "general", "reply", thread=root)
    before = len(slack.workspace.messages("general"))
    content = {name: reply if value == "reply" else value for name, value in content.items()}
    assert (
        await refusal(web.api_call("chat.postMessage", json={"channel": GENERAL, **content}))
        == error
    )
    assert len(slack.workspace.messages("general")) == before
    assert [refused.error for refused in slack.refusals] == [error]


async def test_long_text_is_cut_in_posts_and_refused_in_edits(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="x" * 40_001)
    assert posted["warning"] == "message_truncated"
    assert len(slack.workspace.message("general", posted["ts"]).text) == 40_000
    assert (
        await refusal(web.chat_update(channel=GENERAL, ts=posted["ts"], text="x" * 4_001))
        == "msg_too_long"
    )


async def test_the_app_can_edit_and_delete_only_its_own_messages(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    ts = await slack.conversations.say("alice", "general", "mine")
    assert await refusal(web.chat_update(channel=GENERAL, ts=ts, text="x")) == "cant_update_message"
    assert await refusal(web.chat_delete(channel=GENERAL, ts=ts)) == "cant_delete_message"
    assert (
        await refusal(web.chat_update(channel=GENERAL, ts="1.000001", text="x"))
        == "message_not_found"
    )
    posted = await web.chat_postMessage(channel=GENERAL, text="own")
    await web.chat_delete(channel=GENERAL, ts=posted["ts"])
    assert [message.text for message in slack.workspace.messages("general")] == ["mine"]


async def test_posts_in_archived_channels_are_refused(slack: Sandbox, web: AsyncWebClient) -> None:
    slack.workspace.channel("general").is_archived = True
    assert await refusal(web.chat_postMessage(channel=GENERAL, text="x")) == "is_archived"


async def test_an_ephemeral_message_is_for_one_member_of_the_channel(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    await web.chat_postEphemeral(channel=GENERAL, user="U0ALICE", text="psst")
    assert [whisper.text for whisper in slack.workspace.ephemerals("alice")] == ["psst"]
    assert slack.workspace.ephemerals("bob") == []
    assert slack.workspace.messages("general") == []
    outside = web.chat_postEphemeral(channel="C0LEADS", user="U0CAROL", text="x")
    assert await refusal(outside) == "user_not_in_channel"


async def test_history_is_newest_first_and_replies_oldest_first_in_pages(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    root = await slack.conversations.say("alice", "general", "root")
    answers = [
        await slack.conversations.say("bob", "general", str(number), thread=root)
        for number in range(3)
    ]
    other = await slack.conversations.say("alice", "general", "other")
    history = await web.conversations_history(channel=GENERAL)
    assert [message["ts"] for message in history["messages"]] == [other, root]
    assert history["messages"][1]["reply_count"] == 3
    first = await web.conversations_replies(channel=GENERAL, ts=root, limit=2)
    assert [message["ts"] for message in first["messages"]] == [root, answers[0]]
    cursor = first["response_metadata"]["next_cursor"]
    rest = await web.conversations_replies(channel=GENERAL, ts=answers[2], limit=2, cursor=cursor)
    assert [message["ts"] for message in rest["messages"]] == answers[1:]
    since = await web.conversations_replies(channel=GENERAL, ts=root, oldest=answers[0])
    assert [message["ts"] for message in since["messages"]] == [root, *answers[1:]]


async def test_reactions_are_added_removed_and_read(slack: Sandbox, web: AsyncWebClient) -> None:
    ts = await slack.conversations.say("alice", "general", "x")
    hourglass: dict[str, Any] = {
        "channel": GENERAL,
        "timestamp": ts,
        "name": "hourglass_flowing_sand",
    }
    await web.reactions_add(**hourglass)
    assert slack.workspace.message("general", ts).reactions == {
        "hourglass_flowing_sand": [slack.bot_user.id]
    }
    assert await refusal(web.reactions_add(**hourglass)) == "already_reacted"
    await web.reactions_remove(**hourglass)
    assert await refusal(web.reactions_remove(**hourglass)) == "no_reaction"
    assert slack.workspace.message("general", ts).reactions == {}


async def test_a_file_without_the_token_is_a_login_page(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    uploaded = await web.files_upload_v2(
        channel=GENERAL, content=b"bytes", filename="a.txt", initial_comment="look"
    )
    message = slack.workspace.messages("general")[-1]
    assert (message.text, message.files) == ("look", [uploaded["file"]["id"]])
    info = await web.files_info(file=message.files[0])
    url = info["file"]["url_private"]
    async with aiohttp.ClientSession() as session:
        async with session.get(
            url, headers={"authorization": f"Bearer {slack.bot_token}"}
        ) as response:
            assert (response.content_type, await response.read()) == ("text/plain", b"bytes")
        async with session.get(url) as response:
            assert (response.status, response.content_type) == (200, "text/html")


async def test_status_title_and_prompts_of_a_thread_are_set(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    root = await slack.conversations.say("alice", "general", "hi")
    thread: dict[str, Any] = {"channel_id": GENERAL, "thread_ts": root}
    await web.assistant_threads_setStatus(
        **thread, status="is thinking…", loading_messages=["Reading", "Writing"]
    )
    assert slack.agent_sessions.status("general", root) == "is thinking…"
    await web.chat_postMessage(channel=GENERAL, thread_ts=root, text="answer")
    assert slack.agent_sessions.status("general", root) == ""
    await web.assistant_threads_setTitle(**thread, title="A chat")
    assert slack.agent_sessions.title("general", root) == "A chat"
    many = [{"title": str(number), "message": "x"} for number in range(5)]
    too_many = web.assistant_threads_setSuggestedPrompts(**thread, prompts=many)
    assert await refusal(too_many) == "invalid_arguments"
    long = web.assistant_threads_setStatus(**thread, status="x", loading_messages=["x" * 51])
    assert await refusal(long) == "invalid_arguments"
    assert (
        await refusal(web.api_call("agents.sessions.setStatus", json={**thread, "status": "odd"}))
        == "invalid_arguments"
    )


async def test_wrong_tokens_missing_scopes_and_unknown_methods_are_refused(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    assert await refusal(web.api_call("chat.sing")) == "unknown_method"
    assert (
        await refusal(web.api_call("auth.test", headers={"authorization": "Bearer xoxb-other"}))
        == "invalid_auth"
    )
    assert (
        await refusal(web.apps_connections_open(app_token=slack.bot_token))
        == "not_allowed_token_type"
    )
    async with Sandbox(scopes=["chat:write"]) as poor, aiohttp.ClientSession() as session:
        with pytest.raises(SlackApiError) as caught:
            await client_of(poor, session).reactions_add(channel=GENERAL, timestamp="1.1", name="x")
        assert caught.value.response["error"] == "missing_scope"
        assert caught.value.response["needed"] == "reactions:write"


class TestRateTiers:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits()

    async def test_a_fourth_post_at_once_is_rate_limited(
        self, slack: Sandbox, web: AsyncWebClient
    ) -> None:
        for number in range(3):
            await web.chat_postMessage(channel=GENERAL, text=str(number))
        with pytest.raises(SlackApiError) as caught:
            await web.chat_postMessage(channel=GENERAL, text="fourth")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "1"
        await web.chat_postMessage(channel="C0RANDOM", text="elsewhere")
        assert slack.refusals == []
