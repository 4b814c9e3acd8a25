"""A mention in a channel: Slack tells it as an event of its own, besides the message."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners.context import ListenerContext, team_of


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("app_mention")
    async def on_mention(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await ctx.hear(event, team_of(body, context))
