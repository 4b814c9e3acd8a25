"""Apps with Slack's older view of agents: Bolt's `Assistant`, whose conversations begin with a thread."""

from __future__ import annotations

from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncAssistant

from bot.sandbox import Limits, Sandbox
from bot.sandbox.app_permissions import EVENTS, SCOPES
from bot.sandbox.state.records import AppFeatures
from tests.sandbox.conftest import client_of


async def test_a_conversation_with_an_assistant_begins_with_its_thread(limits: Limits) -> None:
    """It greets, suggests, sets a status and a title; a second look begins no second thread."""
    assistant = AsyncAssistant()

    @assistant.thread_started
    async def greet(say: Any, set_suggested_prompts: Any) -> None:
        await say("How can I help?")
        await set_suggested_prompts(prompts=[{"title": "Tides", "message": "How do tides work?"}])

    @assistant.user_message
    async def answer(payload: Any, say: Any, set_status: Any, set_title: Any) -> None:
        await set_title(payload["text"])
        await set_status("is thinking…")
        await say("The moon pulls.")

    features = AppFeatures(assistant_view=True)
    async with Sandbox(limits=limits, scopes=SCOPES, events=EVENTS, features=features) as slack:
        app = AsyncApp(client=client_of(slack, None), raise_error_for_unhandled_request=False)
        app.use(assistant)
        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        direct = await slack.views.open_home("alice", "messages")
        root = (await slack.until(lambda: slack.workspace.messages(direct)))[0]
        greeting = await slack.until(lambda: slack.workspace.thread(direct, root.ts)[1])
        assert greeting.text == "How can I help?"
        await slack.until(lambda: slack.workspace.prompts[direct, root.ts])
        await slack.views.open_home("alice", "messages")
        await slack.conversations.say("alice", direct, "How do tides work?", root.ts)
        answered = await slack.until(lambda: slack.workspace.thread(direct, root.ts)[3])
        assert answered.text == "The moon pulls."
        assert slack.agent_sessions.title(direct, root.ts) == "How do tides work?"
        assert [each.root for each in slack.workspace.messages(direct)] == [root.ts] * 4
        await handler.close_async()  # type: ignore[no-untyped-call]
        assert slack.refusals == []
