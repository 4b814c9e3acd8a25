"""The buttons of answers: Stop, Retry, Retry with another model, thumbs up and down."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from bot.errors import ModelNotAllowed
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.listeners.context import ListenerContext
from handlers.views import answer_footer, blocks, payloads
from handlers.views.model_select import option_groups


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.STOP_ANSWER_ACTION)
    async def on_stop(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        if not await ctx.service.stop(action.value, action.user, action.pressed_at):
            ctx.notify(slack, action, strings.NOTHING_TO_STOP)

    @app.action(blocks.FEEDBACK_ACTION)
    async def on_feedback(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        answer_id, _, value = action.value.partition(":")
        user = User(slack.team, action.user)
        await ctx.service.set_feedback(answer_id, user, 1 if value == "1" else -1)
        ctx.notify(slack, action, strings.FEEDBACK_THANKS)

    _register_retries(app, ctx)


def _register_retries(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.RETRY_ANSWER_ACTION)
    async def on_retry(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        try:
            if await ctx.service.retry(action.value) is None:
                ctx.notify(slack, action, strings.NOTHING_TO_RETRY)
        except BudgetReached as reached:
            ctx.notify(slack, action, budget_reached(reached, action.user))

    @app.action(blocks.RETRY_WITH_MODEL_ACTION)
    async def on_retry_with_model(
        ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        try:
            answer_id = answer_footer.parse_answer_block_id(action.block)
            answer = await ctx.service.retry_with_model(answer_id, action.value)
        except ValueError:
            answer = None
        except ModelNotAllowed:
            ctx.notify(slack, action, strings.MODEL_NOT_OFFERED)
            return
        except BudgetReached as reached:
            ctx.notify(slack, action, budget_reached(reached, action.user))
            return
        if answer is None:
            ctx.notify(slack, action, strings.NOTHING_TO_RETRY)
            return
        ctx.tasks.start(_show_header(ctx, answer.chat_id), name="header")

    @app.options(blocks.RETRY_WITH_MODEL_ACTION)
    async def on_models_for_retry(ack: AsyncAck, body: dict[str, Any]) -> None:
        answer_id = answer_footer.parse_answer_block_id(body["block_id"])
        groups = await ctx.service.models_for_retry(answer_id, body.get("value") or "")
        await ack(option_groups=option_groups(groups))


async def _show_header(ctx: ListenerContext, chat_id: str) -> None:
    """Only after the press is acknowledged: the answer is retried whether or not this succeeds."""
    await ctx.headers.show(await ctx.chats.get(chat_id))
