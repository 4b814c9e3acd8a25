"""Messages in channels, threads, group and direct messages: all that people say where Bobbin can hear it."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners.context import ListenerContext, team_of


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("message")  # with every subtype: what is not for us is acknowledged all the same
    async def on_message(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await ctx.hear(event, team_of(body, context))
