"""The `…` menu of a chat's header: Continue in a new chat, Export, Rename."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import audit, strings
from bot.domain import Chat, User
from bot.errors import ChatNotFound, StorageError
from handlers.client.web_api import SlackClient
from handlers.listeners.chat_actions import chat_of_action, continue_in_new_chat
from handlers.listeners.context import ListenerContext
from handlers.threads.agent_session import show_session_title
from handlers.threads.open_view import open_view
from handlers.views import payloads, rename_dialog
from handlers.views.header_menu import HEADER_MENU_ACTION, HeaderChoice, parse_header_choice
from handlers.views.payloads import BlockAction, Reader

EXPORT_TTL = 600.0
"""Seconds within which the same press sends the chat once, whichever replica has it."""


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(HEADER_MENU_ACTION)
    async def on_choice(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        choice, chat_id = parse_header_choice(action.value)
        chat = await chat_of_action(ctx, slack, action, chat_id)
        if chat is not None and choice is HeaderChoice.CONTINUE:
            await continue_in_new_chat(ctx, slack, action, chat)
        await ack()
        trigger = str(body.get("trigger_id") or "")
        if chat is not None and choice is HeaderChoice.EXPORT:
            ctx.tasks.start(_export(ctx, slack, action, trigger, chat), name="export")
        if chat is not None and choice is HeaderChoice.RENAME:
            view = rename_dialog.dialog(chat, action.channel)
            reader = Reader(action.user, action.channel, action.thread, action.response_url or "")
            ctx.tasks.start(open_view(slack, trigger, view, reader), name="rename dialog")

    @app.view(rename_dialog.RENAME_DIALOG)
    async def on_rename(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        chat_id, title = rename_dialog.submission(body)
        problem = strings.RENAME_EMPTY if not title else await _rename(ctx, slack, chat_id, title)
        if problem:
            await ack(response_action="errors", errors={rename_dialog.TITLE_BLOCK: problem})
        else:
            await ack()


async def _export(
    ctx: ListenerContext, slack: SlackClient, action: BlockAction, trigger: str, chat: Chat
) -> None:
    if not await slack.claims.is_first("export", chat.id, trigger, within=EXPORT_TTL):
        return
    user = User(slack.team, action.user)
    audit.record_by(user, audit.Action.EXPORTED, target=chat.id, format="markdown")
    try:
        text = await ctx.exports.send(slack, chat, action.user)
    except StorageError:
        text = strings.EXPORT_FAILED
    ctx.notify(slack, action, text)


async def _rename(ctx: ListenerContext, slack: SlackClient, chat_id: str, title: str) -> str:
    """Stores the title; returns what prevents that, for the person."""
    try:
        chat = await ctx.chats.get(chat_id)
        if title == rename_dialog.shown_title(chat):
            return ""
        renamed = await ctx.service.rename(chat, title) if chat.team == slack.team else None
    except ChatNotFound:
        renamed = None
    except StorageError:
        return strings.SAVE_FAILED
    if renamed is None:
        return strings.HEADER_MENU_UNKNOWN
    ctx.tasks.start(ctx.headers.show(renamed), name="header")
    if renamed.thread is not None:
        showing = show_session_title(slack, renamed.thread, renamed.title)
        ctx.tasks.start(showing, name="session title")
    return ""
