"""What happens around the conversations: sessions, channels, installations."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from bot.domain import Thread
from bot.observability import get_logger
from handlers.listeners.context import ListenerContext, team_of
from handlers.threads import agent_session

log = get_logger(__name__)


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    _register_sessions(app, ctx)
    _register_pane(app, ctx)
    _register_moves(app, ctx)

    # Slack sends again what nobody acknowledges, so even what needs nothing has a listener.
    app.event("app_context_changed")(_acknowledge)
    _register_ends(app, ctx)


def _register_sessions(app: AsyncApp, ctx: ListenerContext) -> None:
    async def place_of(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> Thread:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        return Thread(slack.team, event.get("channel", ""), event.get("thread_ts", ""))

    @app.event("agent_session_stopped")
    async def on_session_stopped(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        thread = await place_of(event, body, context)
        chat = await ctx.service.at(thread)
        # The event's own time tells a second delivery from a second press, which may mean the next answer.
        if chat is None or not await ctx.service.stop(
            chat.id, str(event.get("event_ts") or "") or None
        ):
            slack = await ctx.workspaces.client_for(team_of(body, context))
            ctx.tasks.start(agent_session.end_session(slack, thread), name="end session")

    @app.event("agent_session_title_changed")
    async def on_title_changed(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        title = agent_session.session_title(str(event.get("title") or ""))
        if not title or event.get("user") in (None, slack.bot_user):
            return
        thread = await place_of(event, body, context)
        known = await ctx.service.at(thread)
        if (
            known is None or agent_session.session_title(known.title) == title
        ):  # an echo of what we had told Slack
            return
        chat = await ctx.service.rename(thread, title)
        if chat is not None:
            ctx.tasks.start(ctx.model_menus.show_header(chat), name="header")


def _register_pane(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("app_home_opened")
    async def on_pane_opened(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack, channel = (
            await ctx.workspaces.client_for(team_of(body, context)),
            str(event.get("channel") or ""),
        )
        if (
            event.get("tab") == "messages"
            and channel
            and not await ctx.service.any_in(slack.team, channel)
        ):
            ctx.tasks.start(agent_session.suggest_prompts(slack, channel), name="prompts")

    @app.event("channel_id_changed")
    async def on_channel_moved(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        old, new = event.get("old_channel_id"), event.get("new_channel_id")
        if old and new and old != new:
            await ctx.service.move_channel(slack.team, str(old), str(new))
            log.info("channel_moved", old=old, new=new)


def _register_moves(app: AsyncApp, ctx: ListenerContext) -> None:
    async def moved(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any], *, away: bool
    ) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        user, channel = str(event.get("user") or ""), str(event.get("channel") or "")
        if (
            user and user != slack.bot_user and event.get("channel_type") != "C"
        ):  # a public one stays open to all
            await ctx.membership.moved(ctx.person(slack, user), channel, away)

    @app.event("member_left_channel")
    async def on_left(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        await moved(event, body, context, away=True)

    @app.event("member_joined_channel")
    async def on_joined(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await moved(event, body, context, away=False)


async def _acknowledge(event: dict[str, Any]) -> None:
    """Nothing to do."""


def _register_ends(app: AsyncApp, ctx: ListenerContext) -> None:
    async def ended(body: dict[str, Any], context: dict[str, Any]) -> None:
        team = None if context.get("is_enterprise_install") else context.get("team_id")
        await ctx.workspaces.ended(context.get("enterprise_id"), team, body.get("event_time"))

    @app.event("app_uninstalled")
    async def on_uninstalled(body: dict[str, Any], context: dict[str, Any]) -> None:
        await ended(body, context)

    @app.event("tokens_revoked")
    async def on_revoked(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        if (event.get("tokens") or {}).get("bot"):  # a person's own token is nothing to us
            await ended(body, context)
