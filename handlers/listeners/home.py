"""The Home tab: opened, searched, paged; the person's own model and whether it answers without a menu."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.domain import User
from bot.errors import ModelNotAllowed
from handlers.listeners.context import ListenerContext, team_of
from handlers.views import home_tab, payloads
from handlers.views.chat_list import ListQuery


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    async def opened(body: dict[str, Any], context: dict[str, Any]) -> User:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        return ctx.person(slack, body["user"]["id"])

    @app.event("app_home_opened", matchers=[_home_tab])
    async def on_opened(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        ctx.home_tabs.show(ctx.person(slack, event["user"]))

    @app.action(re.compile(rf"^{re.escape(home_tab.HOME_PAGE_ACTION)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack()
        ctx.home_tabs.show(
            await opened(body, context), ListQuery.load(payloads.block_action(body).value)
        )

    @app.action(home_tab.HOME_SEARCH_ACTION)
    async def on_search(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack()
        ctx.home_tabs.show(
            await opened(body, context), ListQuery.for_search(payloads.block_action(body).value)
        )

    @app.options(home_tab.HOME_MODEL_ACTION)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_options(body))

    @app.action(home_tab.HOME_MODEL_ACTION)
    async def on_model(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        user = await opened(body, context)
        with suppress(ModelNotAllowed):  # what is published next shows what holds
            await ctx.service.prefer(user, payloads.block_action(body).value)
        await ack()
        ctx.home_tabs.show(user, _shown_query(body))

    @app.action(home_tab.HOME_ALWAYS_ACTION)
    async def on_always(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        user = await opened(body, context)
        await ctx.service.prefer_always(user, bool(body["actions"][0].get("selected_options")))
        await ack()
        ctx.home_tabs.show(user, _shown_query(body))


async def _home_tab(event: dict[str, Any]) -> bool:
    return event.get("tab") == "home"


def _shown_query(body: dict[str, Any]) -> ListQuery:
    """The part of the list that the person's Home tab shows, whichever process published it."""
    return ListQuery.load((body.get("view") or {}).get("private_metadata") or "")
