"""Events around the chats: agent sessions, the empty agent pane, channels, and the app's removal."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from bot.access.rules import Standing
from bot.domain import Thread, User
from bot.observability import get_logger
from handlers.client.people import person_of
from handlers.client.slack_names import locale_of
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.threads import agent_session

log = get_logger(__name__)


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    _register_sessions(app, ctx)
    _register_pane(app, ctx)
    _register_channels(app, ctx)
    _register_accounts(app, ctx)
    _register_uninstallation(app, ctx)
    # Slack sends an event again until it is acknowledged, so an event that needs nothing has a listener too.
    app.event("app_context_changed")(_acknowledge)


def _register_sessions(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("agent_session_stopped")
    async def on_session_stopped(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.slack_of(body, context)
        thread = _thread_of(slack, event)
        chat = await ctx.chats.find_by_thread(thread)
        # The event's time distinguishes a redelivery from a second press, which may be meant for the next answer.
        pressed_at = str(event.get("event_ts") or "") or None
        if chat is None or not await ctx.service.stop(chat.id, event.get("user"), pressed_at):
            ctx.tasks.start(agent_session.end_session(slack, thread), name="session")

    @app.event("agent_session_title_changed")
    async def on_title_changed(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.slack_of(body, context)
        title = agent_session.session_title(str(event.get("title") or ""))
        if not title or event.get("user") in (None, slack.bot_user):
            return
        chat = await ctx.chats.find_by_thread(_thread_of(slack, event))
        if chat is None or agent_session.session_title(chat.title) == title:
            return  # the bot itself had set this title
        renamed = await ctx.service.rename(chat, title)
        if renamed is not None:
            ctx.tasks.start(ctx.headers.show(renamed), name="header")


def _register_pane(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("app_home_opened")
    async def on_pane_opened(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.slack_of(body, context)
        channel = str(event.get("channel") or "")
        if event.get("tab") != "messages" or not channel:
            return
        if not await ctx.chats.any_in_channel(slack.team, channel):
            ctx.tasks.start(agent_session.suggest_prompts(slack, channel), name="prompts")


def _register_channels(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("channel_id_changed")
    async def on_channel_id_changed(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        slack = await ctx.slack_of(body, context)
        old, new = event.get("old_channel_id"), event.get("new_channel_id")
        if old and new and old != new:
            await ctx.service.move_channel(slack.team, str(old), str(new))
            log.info("channel_id_changed", old=old, new=new)

    async def membership_changed(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any], *, away: bool
    ) -> None:
        slack = await ctx.slack_of(body, context)
        user, channel = str(event.get("user") or ""), str(event.get("channel") or "")
        is_public = event.get("channel_type") == "C"  # its chats stay visible to all
        if user and user != slack.bot_user and not is_public:
            await ctx.membership.record_move(User(slack.team, user), channel, away)

    @app.event("member_left_channel")
    async def on_left(event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> None:
        await membership_changed(event, body, context, away=True)

    @app.event("member_joined_channel")
    async def on_joined(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        await membership_changed(event, body, context, away=False)


def _register_accounts(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.event("user_change")
    async def on_account_changed(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        """Received for every change of a profile; most have no effect on access."""
        slack = await ctx.slack_of(body, context)
        account = event.get("user")
        if not isinstance(account, dict) or not account.get("id"):
            return
        user = User(slack.team, str(account["id"]))
        if locale := locale_of(account):
            await ctx.names.note_locale(user, locale)
        person = person_of(account, slack.team, slack.organisation)
        if person.standing is Standing.DEACTIVATED:
            await ctx.api_tokens.end_for_deactivated(user)
        elif ctx.people.differs(user, person):
            ctx.publisher.access_changed(user.team, user.id)


def _register_uninstallation(app: AsyncApp, ctx: ListenerContext) -> None:
    async def removed(body: dict[str, Any], context: dict[str, Any]) -> None:
        team = None if context.get("is_enterprise_install") else context.get("team_id")
        await ctx.workspaces.on_uninstalled(
            context.get("enterprise_id"), team, body.get("event_time")
        )

    @app.event("app_uninstalled")
    async def on_uninstalled(body: dict[str, Any], context: dict[str, Any]) -> None:
        await removed(body, context)

    @app.event("tokens_revoked")
    async def on_revoked(
        event: dict[str, Any], body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        if (event.get("tokens") or {}).get("bot"):  # the bot does not use people's own tokens
            await removed(body, context)


def _thread_of(slack: SlackClient, event: dict[str, Any]) -> Thread:
    return Thread(slack.team, event.get("channel", ""), event.get("thread_ts", ""))


async def _acknowledge(event: dict[str, Any]) -> None:
    """Acknowledges an event that needs no action."""
