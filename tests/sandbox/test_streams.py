"""Streamed messages grow, fill up, expire and are stopped as in Slack."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Limits, Sandbox
from tests.sandbox.conftest import refusal

DONE: dict[str, Any] = {"type": "context", "elements": [{"type": "mrkdwn", "text": "done"}]}
FOOTER: list[dict[str, Any]] = [{**DONE, "block_id": "footer"}]


def words(text: str) -> list[dict[str, Any]]:
    return [{"type": "markdown_text", "text": text}]


async def start(slack: Sandbox, web: AsyncWebClient, text: str = "One ") -> tuple[str, str]:
    """Post a question by alice and start a stream in its thread. Returns the ts of both."""
    root = await slack.conversations.say("alice", "general", "hi")
    opened = await web.chat_startStream(
        channel="C0GENERAL",
        thread_ts=root,
        recipient_user_id="U0ALICE",
        recipient_team_id=slack.workspace.team_id,
        chunks=words(text),
    )
    return root, opened["ts"]


async def test_a_stream_grows_live_for_its_recipient_and_appears_whole_for_others(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("two "))
    await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("three"))
    message = slack.workspace.message("general", ts)
    assert message.streaming
    assert (message.text_for("U0ALICE"), message.text_for("U0BOB")) == ("One two three", "One ")
    await web.chat_stopStream(channel="C0GENERAL", ts=ts, blocks=FOOTER)
    assert not message.streaming
    texts = ["One ", "One two ", "One two three", "One two three"]
    assert [state.text for state in message.states] == texts
    assert [state.text for state in message.states_for("U0BOB")] == ["One ", "One two three"]
    assert message.states[-1].blocks == tuple(FOOTER)
    assert message.text_for("U0BOB") == "One two three"
    assert slack.refusals == []


async def test_a_stream_needs_a_recipient_in_channels_but_not_in_direct_messages(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    root = await slack.conversations.say("alice", "general", "hi")
    team = slack.workspace.team_id
    given: dict[str, Any] = {"channel": "C0GENERAL", "thread_ts": root, "chunks": words("x")}
    assert await refusal(web.chat_startStream(**given)) == "missing_recipient_user_id"
    assert (
        await refusal(web.chat_startStream(**given, recipient_user_id="U0ALICE"))
        == "missing_recipient_team_id"
    )
    bot: dict[str, Any] = {"recipient_user_id": slack.bot_user.id, "recipient_team_id": team}
    assert await refusal(web.chat_startStream(**given, **bot)) == "user_not_found"
    direct = slack.workspace.dm("alice")
    root = await slack.conversations.say("alice", direct, "hi")
    opened = await web.chat_startStream(channel=direct, thread_ts=root, chunks=words("x"))
    assert slack.workspace.message(direct, opened["ts"]).streaming


async def test_a_stream_keeps_the_mode_of_its_first_payload(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    mixed = web.chat_appendStream(channel="C0GENERAL", ts=ts, markdown_text="x")
    assert await refusal(mixed) == "streaming_mode_mismatch"
    both = web.chat_appendStream(channel="C0GENERAL", ts=ts, markdown_text="x", chunks=words("x"))
    assert await refusal(both) == "cannot_provide_both_markdown_text_and_chunks"
    assert slack.workspace.message("general", ts).text == "One "


async def test_a_full_stream_refuses_appends_but_can_be_stopped(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web, "é" * 5_000)
    assert (
        await refusal(web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("é" * 501)))
        == "msg_too_long"
    )
    assert (
        await refusal(web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("x")))
        == "msg_too_long"
    )
    await web.chat_stopStream(channel="C0GENERAL", ts=ts)
    assert slack.workspace.message("general", ts).text == "é" * 5_000


async def test_one_call_may_append_12000_characters(web: AsyncWebClient, slack: Sandbox) -> None:
    root = await slack.conversations.say("alice", "general", "hi")
    to: dict[str, Any] = {
        "recipient_user_id": "U0ALICE",
        "recipient_team_id": slack.workspace.team_id,
    }
    long = web.chat_startStream(
        channel="C0GENERAL", thread_ts=root, chunks=words("x" * 12_001), **to
    )
    assert await refusal(long) == "msg_too_long"


async def test_a_stream_cannot_be_edited_before_it_ends(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    edit: dict[str, Any] = {"channel": "C0GENERAL", "ts": ts, "markdown_text": "other"}
    assert await refusal(web.chat_update(**edit)) == "streaming_state_conflict"
    await web.chat_stopStream(channel="C0GENERAL", ts=ts)
    await web.chat_update(**edit)
    assert slack.workspace.message("general", ts).text == "other"
    assert (
        await refusal(web.chat_stopStream(channel="C0GENERAL", ts=ts))
        == "message_not_in_streaming_state"
    )


async def test_task_updates_replace_titles_append_output_and_fail_if_left_open(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    first = {
        "type": "task_update",
        "id": "a",
        "title": "Read",
        "status": "in_progress",
        "output": "1",
    }
    await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=[first])
    second = {"type": "task_update", "id": "a", "title": "Reading", "output": "2"}
    await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=[second])
    await web.chat_stopStream(channel="C0GENERAL", ts=ts)
    stream = slack.workspace.message("general", ts).stream
    assert stream is not None
    assert stream.tasks == {"a": {"id": "a", "title": "Reading", "status": "error", "output": "12"}}


async def test_a_stream_whose_message_is_deleted_is_refused(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    slack.workspace.delete(slack.workspace.message("general", ts))
    append = web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("x"))
    assert await refusal(append) == "message_not_found"


async def test_unknown_chunks_and_other_apps_messages_are_refused(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    root, ts = await start(slack, web)
    odd = web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=[{"type": "poem", "text": "x"}])
    assert await refusal(odd) == "invalid_chunks"
    task: dict[str, Any] = {"type": "task_update", "id": "a", "title": "Read"}
    for wrong in (
        {"id": ""}, {"title": "x" * 257}, {"details": "x" * 257}, {"output": 1}, {"status": "done"}, {"sources": ["x"]},
    ):  # fmt: skip
        chunks = [task | wrong]
        append = web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=chunks)
        assert await refusal(append) == "invalid_chunks", wrong
    foreign = web.chat_appendStream(channel="C0GENERAL", ts=root, chunks=words("x"))
    assert await refusal(foreign) == "message_not_owned_by_app"
    missing = web.chat_appendStream(channel="C0GENERAL", ts="1.000001", chunks=words("x"))
    assert await refusal(missing) == "message_not_found"


class TestShortStreamLifetime:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(rates=False, stream_ttl=0.2)

    async def test_an_expired_stream_stays_broken_until_edited(
        self, slack: Sandbox, web: AsyncWebClient
    ) -> None:
        _, ts = await start(slack, web)
        message = slack.workspace.message("general", ts)
        await slack.until(lambda: not message.streaming)
        append = web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("x"))
        assert await refusal(append) == "message_not_in_streaming_state"
        assert (
            await refusal(web.chat_stopStream(channel="C0GENERAL", ts=ts))
            == "message_not_in_streaming_state"
        )
        await web.chat_update(channel="C0GENERAL", ts=ts, markdown_text="whole")
        assert message.text_for("U0BOB") == "whole"


async def test_a_person_stops_a_stream(slack: Sandbox, web: AsyncWebClient) -> None:
    root, ts = await start(slack, web)
    await slack.agent_sessions.stop("alice", "general", root)
    append = web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("x"))
    assert await refusal(append) == "stopped_by_user"
    await web.chat_stopStream(channel="C0GENERAL", ts=ts, blocks=[DONE])
    assert slack.workspace.message("general", ts).text == "One "
    (footer,) = slack.workspace.message("general", ts).blocks
    assert footer == {
        **DONE,
        "block_id": footer["block_id"],
    }  # Slack names the blocks that have no name
    event = next(
        delivery for delivery in slack.deliveries if delivery.name == "agent_session_stopped"
    ).payload["event"]
    assert (event["thread_ts"], event["streaming_message_ts"]) == (root, [ts])


async def test_an_append_costs_the_same_however_long_the_stream_is(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    _, ts = await start(slack, web)
    for number in range(300):
        await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words(f"{number} "))
    message = slack.workspace.message("general", ts)
    assert len(message.latest.pieces) == 301, "appends must not copy earlier text"
    assert message.text == "One " + "".join(f"{number} " for number in range(300))
    assert len(message.states) == 301
