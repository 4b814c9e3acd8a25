"""The slash command `/chats`, by whatever name it was installed, and the paging buttons of its list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.access.durations import parse_duration
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.usage import strings as usage_strings
from handlers.client.web_api import SlackClient
from handlers.listeners.channel_settings import open_settings
from handlers.listeners.context import ListenerContext
from handlers.live_views.chat_list_page import load_chat_list, why_not_listed
from handlers.views import payloads
from handlers.views.api_tokens import token_list
from handlers.views.chat_list import CHATS_PAGE_ACTION, ListQuery, as_message
from handlers.views.modals import DialogTarget
from handlers.views.payloads import SlashCommand, Subcommand
from handlers.views.usage import usage_message
from storage.action_claims import Turn

log = get_logger(__name__)


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.command(re.compile(r"^/"))
    async def on_chats(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        command = payloads.slash_command(body)
        match command.subcommand:
            case Subcommand.HELP:
                text = strings.CHATS_HELP.format(command=command.name)
                await ack(response_type="ephemeral", text=text)
            case Subcommand.ACCESS | Subcommand.REVOKE | Subcommand.NEW | Subcommand.HERE:
                seconds = ctx.timing.press_claim
                async with ctx.claims.attempt("command", command.trigger, seconds=seconds) as turn:
                    response = await _act(ctx, slack, command) if turn is Turn.MINE else {}
                await ack(**response)
            case Subcommand.USAGE:
                await _show(ctx, ack, slack, command, _own_usage(ctx, slack, command.user))
            case Subcommand.SEARCH:
                listing = _list(ctx, slack, command.user, command.text)
                await _show(ctx, ack, slack, command, listing)

    @app.action(re.compile(rf"^{re.escape(CHATS_PAGE_ACTION)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        query = ListQuery.load(action.value)
        ctx.chat_lists.show(User(slack.team, action.user), query, action.response_url)


async def _act(ctx: ListenerContext, slack: SlackClient, command: SlashCommand) -> dict[str, Any]:
    """Runs a subcommand that must not run twice; returns the text for the acknowledgement, if any.

    The replica that gets the command second acknowledges it with nothing, and Slack shows only the first
    acknowledgement. So the user is told through the response URL.
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
    if command.subcommand is Subcommand.HERE:
        if not (text := await open_settings(ctx, slack, command)):
            return {}
    elif command.subcommand is Subcommand.REVOKE:
        text = await _revoke(ctx, user)
    else:
        text = await _issue(ctx, user, command)
    response = {"response_type": "ephemeral", "text": text}
    return {} if await slack.respond(command.response_url, **response) else response


async def _revoke(ctx: ListenerContext, user: User) -> str:
    revoked = await ctx.api_tokens.revoke(user)
    return strings.API_ACCESS_REVOKED if revoked else strings.API_ACCESS_NONE


async def _issue(ctx: ListenerContext, user: User, command: SlashCommand) -> str:
    """Issues a new token; returns what is known about all of the user's tokens."""
    try:
        life = parse_duration(command.argument) if command.argument else None
    except ValueError:
        return strings.API_ACCESS_LIFE.format(command=command.name)
    token = await ctx.api_tokens.issue(user, life)
    issued = strings.API_ACCESS_ISSUED.format(token=token, command=command.name)
    with suppress(StorageError):  # the token can't be shown again, the list can
        return f"{issued}\n\n{token_list(await ctx.api_tokens.stored.listed(user))}"
    return issued


async def _show(
    ctx: ListenerContext,
    ack: AsyncAck,
    slack: SlackClient,
    command: SlashCommand,
    asked: Coroutine[Any, Any, dict[str, Any]],
) -> None:
    """Shows the result in the acknowledgement or, if it takes longer than Slack waits, through the response URL."""
    asking = ctx.tasks.start(asked, name="command")
    done, _ = await asyncio.wait([asking], timeout=ctx.timing.command_patience)
    if done:
        await ack(**asking.result())
        return
    ctx.tasks.start(_respond(slack, command, asking), name="late response")
    await ack()


async def _respond(
    slack: SlackClient, command: SlashCommand, asking: asyncio.Task[dict[str, Any]]
) -> None:
    await slack.respond(command.response_url, **await asking)


async def _own_usage(ctx: ListenerContext, slack: SlackClient, user: str) -> dict[str, Any]:
    """The private message with the user's usage, or why there is none."""
    try:
        text = usage_message(await ctx.usage.overview(User(slack.team, user)))
    except StorageError as error:
        log.info("usage_not_shown", reason=type(error).__name__)
        text = usage_strings.USAGE_NOT_SHOWN
    return {"response_type": "ephemeral", "text": text}


async def _list(ctx: ListenerContext, slack: SlackClient, user: str, words: str) -> dict[str, Any]:
    """The private message with the first page of the chats that contain these words, or why there is none."""
    query = ListQuery.for_search(words)
    try:
        view = await load_chat_list(ctx.chats, ctx.models, slack, user, query)
    except StorageError as error:
        log.info("chat_list_not_shown", reason=type(error).__name__)
        return {"response_type": "ephemeral", "text": why_not_listed(error)}
    ctx.membership.check(User(slack.team, user), view.chats)
    return {
        "response_type": "ephemeral",
        "text": strings.CHATS_FALLBACK,
        "blocks": as_message(view),
    }
