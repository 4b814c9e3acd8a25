"""Stop, Retry, another model for an answer whose model is gone, thumbs up and down."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.errors import ModelNotAllowed
from handlers.listeners.context import ListenerContext, team_of
from handlers.views import blocks, payloads


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.STOP_ANSWER_ACTION)
    async def on_stop(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        if not await ctx.service.stop(press.value):
            ctx.whisper_at(slack, press, strings.NOTHING_TO_STOP)

    @app.action(blocks.RETRY_ANSWER_ACTION)
    async def on_retry(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        press = payloads.block_action(body)
        await ack()
        await ctx.service.retry(
            press.value
        )  # a second click finds it waiting already, which is no error

    @app.action(blocks.RETRY_WITH_MODEL_ACTION)
    async def on_other_model(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        try:
            answer = await ctx.service.retry_with(
                blocks.parse_answer_block_id(press.block), press.value
            )
        except ValueError:
            answer = None
        except ModelNotAllowed:
            return ctx.whisper_at(slack, press, strings.MODEL_NOT_OFFERED)
        if answer is None:
            return ctx.whisper_at(slack, press, strings.NOTHING_TO_RETRY)
        chat = await ctx.service.get(answer.chat_id)
        ctx.tasks.start(ctx.model_menus.show_header(chat), name="header")
        return None

    @app.action(blocks.FEEDBACK_ACTION)
    async def on_feedback(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        answer_id, _, value = press.value.partition(":")
        await ctx.service.rate(answer_id, ctx.person(slack, press.user), 1 if value == "1" else -1)
        ctx.whisper_at(slack, press, strings.FEEDBACK_THANKS)
