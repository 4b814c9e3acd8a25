"""The menu of models in a thread: its options, a choice, and the button that starts with the preselected one."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.chats.messages import ModelChoiceOutcome
from bot.errors import ChatNotFound, LimitReached, ModelNotAllowed
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext, team_of
from handlers.views import blocks, payloads
from handlers.views.payloads import BlockAction
from storage.chat_requests import ChatRequest


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack(
            option_groups=blocks.option_groups(ctx.service.models.search(body.get("value") or ""))
        )

    app.options(blocks.MODEL_MENU_ACTION)(on_options)
    app.options(blocks.RETRY_WITH_MODEL_ACTION)(on_options)

    @app.action(blocks.MODEL_MENU_ACTION)
    async def on_choice(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        await _choose(ctx, slack, press, press.value)

    @app.action(blocks.START_CHAT_ACTION)
    async def on_start(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        await _choose(ctx, slack, press, _preselected(body))


def _preselected(body: dict[str, Any]) -> str:
    """What the menu beside the button shows: what was chosen there last, else what was preselected."""
    block = body["actions"][0].get("block_id", "")
    state = ((body.get("state") or {}).get("values") or {}).get(block) or {}
    chosen = (state.get(blocks.MODEL_MENU_ACTION) or {}).get("selected_option") or {}
    return chosen.get("value") or blocks.parse_model_select_block_id(block)[1]


async def _choose(ctx: ListenerContext, slack: SlackClient, press: BlockAction, key: str) -> None:
    try:
        request_id, _ = blocks.parse_model_select_block_id(press.block)
        chosen = await ctx.service.choose(request_id, press.user, key, press.message_ts)
    except (ChatNotFound, ValueError):
        return ctx.whisper_at(slack, press, strings.QUESTION_GONE)
    except ModelNotAllowed:
        return ctx.whisper_at(slack, press, strings.MODEL_NOT_OFFERED)
    except LimitReached:
        return ctx.whisper_at(slack, press, strings.LIMIT_REACHED)
    if chosen.outcome is ModelChoiceOutcome.NOT_YOURS:
        return ctx.whisper_at(slack, press, strings.NOT_YOURS.format(user=chosen.request.user))
    address = _own_address(ctx, slack, press, chosen.request)
    if chosen.outcome is ModelChoiceOutcome.CANNOT_SEE:
        return ctx.whisper_at(
            slack, press, ctx.file_notices.cannot_see(ctx.service.models.by_key(key).ref)
        )
    if chosen.outcome is ModelChoiceOutcome.ALREADY and chosen.said is None:
        return ctx.whisper_at(slack, press, strings.ALREADY_STARTED)
    if chosen.outcome is ModelChoiceOutcome.KEPT:
        ctx.tasks.start(
            _start_later(ctx, slack, press, chosen.request, address), name="chat in a thread"
        )
        return None
    label = ctx.service.models.label(ctx.service.models.by_key(key).ref)
    ctx.tasks.start(ctx.model_menus.after_choice(chosen, label, address), name="header")
    return None


def _own_address(
    ctx: ListenerContext, slack: SlackClient, press: BlockAction, request: ChatRequest
) -> str | None:
    """Where the pressed menu may be replaced: only if it is the one that becomes the header.

    A menu stands twice after the one who posted it died of it; the double goes now, whoever would have tidied it.
    """
    if request.menu_ts in (None, press.message_ts):
        return press.response_url
    double = slack.try_call("chat.delete", channel=press.channel, ts=press.message_ts)
    ctx.tasks.start(double, name="second menu")
    return None


async def _start_later(
    ctx: ListenerContext,
    slack: SlackClient,
    press: BlockAction,
    request: ChatRequest,
    address: str | None,
) -> None:
    try:
        await ctx.model_menus.start_when_read(request, address)
    except LimitReached:
        ctx.whisper_at(slack, press, strings.LIMIT_REACHED)
