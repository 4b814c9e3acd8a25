"""The Home tab: opening it, its list, its search, and the user's model."""

from __future__ import annotations

import re
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from bot.errors import ModelNotAllowed
from handlers.listeners.context import ListenerContext
from handlers.views import home_tab, model_options, payloads
from handlers.views.chat_list import ListQuery


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    _register_list(app, ctx)
    _register_model(app, ctx)
    _register_options(app, ctx)


def _register_list(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("app_home_opened", matchers=[_is_home_tab])
    async def on_opened(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        ctx.home_tabs.show(await _user_of(ctx, body, context, event["user"]))

    @app.action(re.compile(rf"^{re.escape(home_tab.HOME_PAGE_ACTION)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack()
        action = payloads.block_action(body)
        user = await _user_of(ctx, body, context, action.user)
        ctx.home_tabs.show(user, ListQuery.load(action.value))

    @app.action(home_tab.HOME_SEARCH_ACTION)
    async def on_search(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack()
        action = payloads.block_action(body)
        user = await _user_of(ctx, body, context, action.user)
        ctx.home_tabs.show(user, ListQuery.for_search(action.value))


def _register_model(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.options(home_tab.HOME_MODEL_ACTION)
    async def on_options(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_choices(body, context))

    @app.action(home_tab.HOME_MODEL_ACTION)
    async def on_model(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        action = payloads.block_action(body)
        user = await _user_of(ctx, body, context, action.user)
        try:
            await ctx.service.set_default_model(user, action.value)
        except ModelNotAllowed:  # the tab will show which model the user has
            ctx.notify(await ctx.slack_of(body, context), action, strings.MODEL_NOT_OFFERED)
        await ack()
        ctx.home_tabs.show(user, _query(body))

    @app.action(home_tab.HOME_ALWAYS_ACTION)
    async def on_always(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        user = await _user_of(ctx, body, context, body["user"]["id"])
        await ctx.service.set_always(user, payloads.has_selection(body))
        await ack()
        ctx.home_tabs.show(user, _query(body))


def _register_options(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(f"{home_tab.HOME_PREFIX}{model_options.WEB_SEARCH_ACTION}")
    async def on_search(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        user = await _user_of(ctx, body, context, body["user"]["id"])
        await ctx.service.set_own_search(user, payloads.has_selection(body))
        await ack()
        ctx.home_tabs.show(user, _query(body))

    @app.action(f"{home_tab.HOME_PREFIX}{model_options.REASONING_ACTION}")
    async def on_effort(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        user = await _user_of(ctx, body, context, body["user"]["id"])
        effort = model_options.effort_of(payloads.selected_option(body))
        await ctx.service.set_own_effort(user, effort)
        await ack()
        ctx.home_tabs.show(user, _query(body))


async def _user_of(
    ctx: ListenerContext, body: dict[str, Any], context: dict[str, Any], user: str
) -> User:
    slack = await ctx.slack_of(body, context)
    return User(slack.team, user)


async def _is_home_tab(event: dict[str, Any]) -> bool:
    return event.get("tab") == "home"


def _query(body: dict[str, Any]) -> ListQuery:
    """What the tab currently shows, whichever process published it."""
    return ListQuery.load((body.get("view") or {}).get("private_metadata") or "")
