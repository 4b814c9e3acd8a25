"""The button "Continue in a new chat": beside a failure, and at the message limit."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from handlers.listeners.chat_actions import chat_of_action, continue_in_new_chat
from handlers.listeners.context import ListenerContext
from handlers.views import blocks, payloads


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.CONTINUE_CHAT_ACTION)
    async def on_continue(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        old = await chat_of_action(ctx, slack, action, action.value)
        if old is not None:
            await continue_in_new_chat(ctx, slack, action, old)
        await ack()
