"""The menu of models in a thread: its options, a choice, and the button that starts with the preselected model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.chats.messages import ModelChoiceOutcome, ModelChosen
from bot.domain import User
from bot.domain.model_options import ModelOptions
from bot.errors import ChatNotFound, ModelNotAllowed
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.threads.thread_messages import delete_message
from handlers.views import blocks, model_menu, model_options, payloads
from handlers.views.payloads import BlockAction


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    async def on_options(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_choices(body, context))

    app.options(blocks.MODEL_MENU_ACTION)(on_options)

    @app.action(blocks.MODEL_MENU_ACTION)
    async def on_choice(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        options = payloads.options_beside_menu(body)
        await _choose(ctx, slack, action, lambda: action.value, options)
        await ack()

    @app.action(blocks.START_CHAT_ACTION)
    async def on_start(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        options = payloads.options_beside_menu(body)
        await _choose(ctx, slack, action, lambda: payloads.model_beside_button(body), options)
        await ack()

    async def on_option(ack: AsyncAck) -> None:
        await ack()  # it counts once a model is chosen

    app.action(model_options.WEB_SEARCH_ACTION)(on_option)
    app.action(model_options.REASONING_ACTION)(on_option)


async def _choose(
    ctx: ListenerContext,
    slack: SlackClient,
    action: BlockAction,
    key: Callable[[], str],
    options: ModelOptions,
) -> None:
    """`key`: returns the chosen model's key. Raises ValueError if there is none."""
    try:
        request_id, _ = model_menu.parse_model_select_block_id(action.block)
        user = User(slack.team, action.user)
        chosen = await ctx.requests.choose_model(
            request_id, user=user, key=key(), menu_ts=action.message_ts, options=options
        )
    except (ChatNotFound, ValueError):
        ctx.notify(slack, action, strings.REQUEST_UNKNOWN)
    except ModelNotAllowed:
        ctx.notify(slack, action, strings.MODEL_NOT_OFFERED)
    except BudgetReached as reached:
        ctx.notify(slack, action, budget_reached(reached))
    else:
        _show(ctx, slack, action, chosen)


def _show(
    ctx: ListenerContext, slack: SlackClient, action: BlockAction, chosen: ModelChosen
) -> None:
    """Starts showing the choice: a refusal, or the menu's next form. Returns immediately."""
    request = chosen.request
    if chosen.outcome is ModelChoiceOutcome.NOT_ASKER:
        ctx.notify(slack, action, strings.ONLY_ASKER_CHOOSES.format(user=request.user))
        return
    is_duplicate = request.menu_ts not in (None, action.message_ts)
    if is_duplicate:  # its process died before it knew about it; the other menu becomes the header
        deleted = delete_message(slack, action.channel, action.message_ts)
        ctx.tasks.start(deleted, name="duplicate menu")
    response_url = None if is_duplicate else action.response_url
    if chosen.outcome is ModelChoiceOutcome.MODEL_CANNOT_SEE and chosen.model is not None:
        ctx.notify(slack, action, ctx.file_notices.cannot_see(chosen.model))
    elif chosen.outcome is ModelChoiceOutcome.CHAT_FULL and chosen.chat_id is not None:
        ctx.notify(slack, action, *ctx.menus.chat_full(request, chosen.chat_id))
    elif chosen.outcome is ModelChoiceOutcome.ALREADY_STARTED and chosen.stored is None:
        ctx.notify(slack, action, strings.ALREADY_STARTED)
    elif chosen.outcome is ModelChoiceOutcome.WAITING_FOR_CONTEXT:
        ctx.tasks.start(ctx.menus.start_with_context(request, response_url), name="chat")
    else:
        ctx.tasks.start(ctx.menus.show_choice(chosen, response_url), name="header")
