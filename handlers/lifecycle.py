"""What happens around the conversations: sessions, channels, installations."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from bot.domain import Place
from bot.observability import get_logger
from handlers.surface import Surface, team_of

log = get_logger(__name__)


def register(app: AsyncApp, surface: Surface) -> None:
    async def place_of(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> Place:
        slack = await surface.workspaces(team_of(body, context))
        return Place(slack.team, event.get("channel", ""), event.get("thread_ts", ""))

    @app.event("agent_session_stopped")
    async def on_session_stopped(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        chat = await surface.service.at(await place_of(event, body, context))
        if chat is not None:
            await surface.service.stop(chat.id)

    @app.event("agent_session_title_changed")
    async def on_title_changed(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await surface.workspaces(team_of(body, context))
        title = str(event.get("title") or "").strip()
        if title and event.get("user") not in (None, slack.bot_user):
            chat = await surface.service.rename(await place_of(event, body, context), title)
            if chat is not None:
                surface.tasks.start(surface.menus.show_title(chat), name="header")

    _register_moves(app, surface)

    # Slack sends again what nobody acknowledges, so even what needs nothing has a listener.
    app.event("app_home_opened")(_acknowledge)
    app.event("app_context_changed")(_acknowledge)
    app.event("channel_id_changed")(_acknowledge)
    app.event("app_uninstalled")(_gone)
    app.event("tokens_revoked")(_gone)


def _register_moves(app: AsyncApp, surface: Surface) -> None:
    async def moved(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any], *, away: bool) -> None:
        slack = await surface.workspaces(team_of(body, context))
        user, channel = str(event.get("user") or ""), str(event.get("channel") or "")
        if user and user != slack.bot_user and event.get("channel_type") != "C":  # a public one stays open to all
            await surface.memberships.moved(surface.person(slack, user), channel, away)

    @app.event("member_left_channel")
    async def on_left(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        await moved(event, body, context, away=True)

    @app.event("member_joined_channel")
    async def on_joined(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        await moved(event, body, context, away=False)


async def _acknowledge(event: dict[str, Any]) -> None:
    """Nothing to do."""


async def _gone(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
    log.warning("installation_ended", kind=event.get("type"), team=team_of(body, context))
