"""The buttons of a message that asks about a tool call."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from bot.domain.tool_calls import CallState, Decision
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.views import approval, payloads
from handlers.views.approval import ACTIONS


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    for decision, action in ACTIONS.items():
        app.action(action)(_listener(ctx, decision))


def _listener(ctx: ListenerContext, decision: Decision) -> Any:
    async def on_decision(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        notify = partial(ctx.notify, slack, action)
        decided = await ctx.approvals.decide(action.value, User(slack.team, action.user), decision)
        if decided is None:
            notify(strings.APPROVAL_UNKNOWN_CALL)
            await _retire(ctx, slack, action)
        elif decided.call.overdue:
            notify(strings.APPROVAL_LAPSED)
        elif not decided.accepted and decided.call.stopped:
            notify(strings.APPROVAL_STOPPED)
        elif not decided.accepted and decided.call.state is CallState.ASKED:
            notify(strings.APPROVAL_NOT_YOURS.format(user=decided.call.asker or ""))
        elif not decided.accepted:
            notify(strings.APPROVAL_DECIDED)

    return on_decision


async def _retire(ctx: ListenerContext, slack: SlackClient, action: payloads.BlockAction) -> None:
    """Removes the buttons of a call that has been erased; a call that is asked about again keeps its own."""
    if await ctx.approvals.is_known(action.value):
        return
    gone = approval.gone(action.value)
    fallback = strings.APPROVAL_UNKNOWN_CALL
    message = {"channel": action.channel, "ts": action.message_ts}
    await slack.try_call("chat.update", **message, blocks=gone, text=fallback)
