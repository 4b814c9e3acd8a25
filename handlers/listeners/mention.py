"""Mentions, which Slack sends as separate events, besides the message event."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners.context import ListenerContext
from handlers.listeners.incoming_message import handle_message


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("app_mention")
    async def on_mention(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await handle_message(ctx, await ctx.slack_of(body, context), event)
