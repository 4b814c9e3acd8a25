"""The menu "Ask another model" below an answer."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import Chat, Message, ModelRef
from bot.errors import ChatNotFound, ModelNotAllowed
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.views import answer_footer, blocks, payloads
from handlers.views.payloads import BlockAction


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.ASK_ANOTHER_ACTION)
    async def on_choice(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        try:
            chat, question = await _asked(ctx, slack.team, action)
            model = ctx.branch_service.model(action.value)
        except (ChatNotFound, ValueError):
            ctx.notify(slack, action, strings.REQUEST_UNKNOWN)
        except ModelNotAllowed:
            ctx.notify(slack, action, strings.MODEL_NOT_OFFERED)
        else:
            await _branch(ctx, slack, action, chat, question, model)
        await ack()

    async def on_options(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_choices(body, context))

    app.options(blocks.ASK_ANOTHER_ACTION)(on_options)


async def _asked(ctx: ListenerContext, team: str, action: BlockAction) -> tuple[Chat, Message]:
    """The chat and the question of the answer above the menu. Raises ChatNotFound, ValueError."""
    question = await ctx.branch_service.question(answer_footer.parse_answer_block_id(action.block))
    chat = await ctx.chats.get(question.chat_id)
    is_here = chat.thread is not None and chat.thread.channel == action.channel
    if not is_here or chat.team != team:
        raise ChatNotFound("no such chat")
    return chat, question


async def _branch(
    ctx: ListenerContext,
    slack: SlackClient,
    action: BlockAction,
    chat: Chat,
    question: Message,
    model: ModelRef,
) -> None:
    try:
        branch = await ctx.branch_service.create(chat, question, action.user, model, in_slack=True)
    except BudgetReached as reached:
        ctx.notify(slack, action, budget_reached(reached))
        return
    label = ctx.models.label(model)
    if link := await ctx.headers.link(branch.chat):
        ctx.notify(slack, action, strings.BRANCHED_HERE.format(link=link, model=label))
        return
    ctx.notify(slack, action, strings.BRANCHING.format(model=label))
    ctx.successors.open(branch)
