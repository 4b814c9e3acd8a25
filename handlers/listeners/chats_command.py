"""The slash command `/chats`, by whatever name it was installed, and the paging buttons of its list."""

from __future__ import annotations

import re
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.live_views.chat_list_page import load_chat_list
from handlers.views import payloads
from handlers.views.chat_list import CHATS_PAGE_ACTION, ListQuery, as_message
from handlers.views.modals import DialogTarget
from handlers.views.payloads import SlashCommand, Subcommand


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.command(re.compile(r"^/"))
    async def on_chats(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        command = payloads.slash_command(body)
        match command.subcommand:
            case Subcommand.HELP:
                text = strings.CHATS_HELP.format(command=command.name)
                await ack(response_type="ephemeral", text=text)
            case Subcommand.ACCESS | Subcommand.REVOKE | Subcommand.NEW:
                async with ctx.claims.attempt("command", command.trigger) as is_first:
                    said = await _act(ctx, slack, command) if is_first else {}
                await ack(**said)
            case Subcommand.SEARCH:
                await ack(**await _list(ctx, slack, command.user, command.text))

    @app.action(re.compile(rf"^{re.escape(CHATS_PAGE_ACTION)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        query = ListQuery.load(action.value)
        ctx.chat_lists.show(User(slack.team, action.user), query, action.response_url)


async def _act(ctx: ListenerContext, slack: SlackClient, command: SlashCommand) -> dict[str, Any]:
    """Runs the subcommand, which must not run twice; returns the text for the acknowledgement, if any.

    The replica that gets the command second acknowledges it with nothing, and Slack shows the first acknowledgement
    only. So the user is told by the response URL.
    """
    if command.subcommand is Subcommand.NEW:
        target = DialogTarget(command.channel, response_url=command.response_url)
        ctx.dialog_chats.open_dialog(
            slack,
            user=command.user,
            trigger=command.trigger,
            target=target,
            text=command.argument,
        )
        return {}
    user = User(slack.team, command.user)
    text = await _token(ctx, user, command.name, revoke=command.subcommand is Subcommand.REVOKE)
    said = {"response_type": "ephemeral", "text": text}
    return {} if await slack.respond(command.response_url, **said) else said


async def _token(ctx: ListenerContext, user: User, command: str, *, revoke: bool) -> str:
    if revoke:
        return (
            strings.API_ACCESS_REVOKED
            if await ctx.api_tokens.revoke(user)
            else strings.API_ACCESS_NONE
        )
    return strings.API_ACCESS_ISSUED.format(token=await ctx.api_tokens.issue(user), command=command)


async def _list(ctx: ListenerContext, slack: SlackClient, user: str, words: str) -> dict[str, Any]:
    """The private message with the first page of the chats that contain these words."""
    view = await load_chat_list(ctx.chats, ctx.models, slack, user, ListQuery.for_search(words))
    ctx.membership.check(slack, user, view.chats)
    return {
        "response_type": "ephemeral",
        "text": strings.CHATS_FALLBACK,
        "blocks": as_message(view),
    }
