"""`/chats` under whatever name it was installed: the caller's own chats, privately."""

from __future__ import annotations

import re
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from handlers.listeners.context import ListenerContext, team_of
from handlers.live_views.chat_page import load_chat_list
from handlers.views import payloads
from handlers.views.chat_list import CHATS_PAGE_ACTION, ListQuery, refreshable
from handlers.views.modals import DialogTarget


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.command(re.compile(r"^/"))
    async def on_chats(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        said, command = (body.get("text") or "").strip(), body.get("command", "/chats")
        word, rest = (*said.split(maxsplit=1), "", "")[:2]
        order = " ".join(said.lower().split())
        if order == "help":
            await ack(response_type="ephemeral", text=strings.CHATS_HELP.format(command=command))
            return
        if order in ("token", "token revoke"):
            text = await _token(ctx, ctx.person(slack, body["user_id"]), order, command)
            await ack(response_type="ephemeral", text=text)
            return
        if word.lower() == "new":
            await ack()
            wanted = DialogTarget(
                body.get("channel_id") or "", response_url=body.get("response_url") or ""
            )
            ctx.dialog_chats.offer(
                slack, body["user_id"], body["trigger_id"], wanted, text=rest.strip()
            )
            return
        listing = await load_chat_list(
            ctx.service, slack, body["user_id"], ListQuery.for_search(said)
        )
        ctx.membership.check(slack, body["user_id"], listing.chats)
        await ack(
            response_type="ephemeral", text=strings.CHATS_FALLBACK, blocks=refreshable(listing)
        )

    @app.action(re.compile(rf"^{re.escape(CHATS_PAGE_ACTION)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        ctx.chat_lists.show(
            ctx.person(slack, press.user), ListQuery.load(press.value), press.response_url
        )


async def _token(ctx: ListenerContext, user: User, order: str, command: str) -> str:
    """Gives the person a token for programs, or ends those given before."""
    if order == "token revoke":
        ended = await ctx.tokens.revoke(user)
        ctx.publisher.recheck_tokens(user.team)
        return strings.API_REVOKED if ended else strings.API_NONE
    return strings.API_ISSUED.format(token=await ctx.tokens.issue(user), command=command)
