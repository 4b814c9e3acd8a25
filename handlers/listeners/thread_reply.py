"""Messages in channels, threads and direct messages: everything that people write where Bobbin is a member."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners.context import ListenerContext
from handlers.listeners.incoming_message import handle_message


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("message")  # with every subtype, because each has to be acknowledged
    async def on_message(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await handle_message(ctx, await ctx.slack_of(body, context), event)
