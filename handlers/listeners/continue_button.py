"""The button "Continue in a new chat": beside a failure, and at the message limit."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import Chat
from bot.errors import ChatNotFound
from bot.usage.limits import BudgetReached
from bot.usage.texts import budget_reached
from handlers.listeners.context import ListenerContext
from handlers.views import blocks, payloads
from handlers.views.payloads import BlockAction


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.CONTINUE_CHAT_ACTION)
    async def on_continue(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        old = await _pressed_chat(ctx, slack.team, action)
        if old is None:
            await ack()
            ctx.notify(slack, action, strings.REQUEST_UNKNOWN)
            return
        try:
            continuation = await ctx.continue_service.create(old, action.user, in_slack=True)
        except BudgetReached as reached:
            await ack()
            ctx.notify(slack, action, budget_reached(reached))
            return
        await ack()
        if link := await ctx.headers.link(continuation.chat):
            ctx.notify(slack, action, strings.CONTINUED_HERE.format(link=link))
            return
        ctx.notify(slack, action, strings.CONTINUING)
        ctx.successors.open(continuation)


async def _pressed_chat(ctx: ListenerContext, team: str, action: BlockAction) -> Chat | None:
    """The chat of the button, if it is in the channel where the button is."""
    try:
        chat = await ctx.chats.get(action.value)
    except ChatNotFound:
        return None
    is_here = chat.thread is not None and chat.thread.channel == action.channel
    return chat if is_here and chat.team == team else None
