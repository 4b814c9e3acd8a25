"""A mention in a channel: Slack tells it as an event of its own, besides the message."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners.context import ListenerContext, team_of


def register(app: AsyncApp, surface: ListenerContext) -> None:
    @app.event("app_mention")
    async def on_mention(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        await surface.hear(event, team_of(body, context))
