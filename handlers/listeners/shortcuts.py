"""The shortcuts: a new chat from anywhere, and a question about a message."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from handlers.listeners.context import ListenerContext
from handlers.views import blocks, modals, payloads
from handlers.views.modals import DialogTarget


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.global_shortcut(blocks.NEW_CHAT_ACTION)
    async def on_new_chat(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        await ack()
        ctx.dialog_chats.open_dialog(
            slack,
            user=body["user"]["id"],
            trigger=body["trigger_id"],
            target=DialogTarget(),
        )

    @app.message_shortcut(modals.ASK_BOBBIN_SHORTCUT)
    async def on_ask_about(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        await ack()
        message = payloads.shortcut_message(body, slack.bot_user)
        target = DialogTarget(
            channel=message.channel,
            thread=message.thread,
            response_url=body.get("response_url") or "",
            files=message.files,
        )
        ctx.dialog_chats.open_dialog(
            slack,
            user=body["user"]["id"],
            trigger=body["trigger_id"],
            target=target,
            about=message.text or " ",
            mentions=message.mentions,
        )
