"""The common handling of mentions and other messages: each is stored before Slack's event is acknowledged, then
shown.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from bot import strings
from bot.chats.messages import (
    HandleResult,
    IncomingMessage,
    ModelChoiceOutcome,
    ModelChosen,
    Outcome,
)
from bot.domain import User
from bot.text.mention_marks import unmarked
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.threads.private_notices import post_ephemeral_once
from handlers.views import chat_full, payloads
from storage.chat_requests import ChatRequest

Notice = Coroutine[Any, Any, object]


async def handle_message(ctx: ListenerContext, slack: SlackClient, event: dict[str, Any]) -> None:
    """Handles one `message` or `app_mention` event. Returns when it is stored, before it is shown."""
    message = payloads.incoming_message(
        event, team=slack.team, bot_user=slack.bot_user, transcribes=ctx.models.transcribes
    )
    if message is None:
        return
    async with ctx.thread_locks[message.thread]:
        text = await ctx.names.replace_ids(slack.team, message.text)
        message = replace(message, text=text)
        result = await ctx.service.handle_message(message)
    if result.outcome in (Outcome.REQUESTED, Outcome.STORED):
        ctx.tasks.start(_learn_names(ctx, message), name="names")
    if result.outcome not in (Outcome.IGNORED, Outcome.STOPPED):
        async with ctx.names.using_language_of(User(slack.team, message.user)):
            _show(ctx, slack, message, result)


def _show(
    ctx: ListenerContext, slack: SlackClient, message: IncomingMessage, result: HandleResult
) -> None:
    """Starts everything that shows the result. Returns immediately."""
    if result.outcome is Outcome.CHAT_FULL:
        _notify_chat_full(ctx, slack, message, result.chat_id)
        return
    if result.reached is not None:
        _notify_budget_reached(ctx, slack, message, result.reached)
        return
    notice = _file_notice(ctx, slack, message, result)
    if result.outcome is Outcome.REQUESTED and result.request is not None:
        ctx.tasks.start(_offer_menu(ctx, result.request, notice), name="menu")
        return
    if notice is not None:
        ctx.tasks.start(notice, name="file notice")
    if result.outcome is Outcome.WAITING_FOR_CONTEXT and result.request is not None:
        ctx.tasks.start(ctx.menus.start_with_context(result.request), name="chat")
    if result.outcome is Outcome.STORED and result.stored is not None:
        if result.request is not None:  # it was the question that a chosen model was waiting for
            chosen = ModelChosen(ModelChoiceOutcome.STARTED, result.request, result.stored)
            ctx.tasks.start(ctx.menus.show_choice(chosen), name="header")
        elif result.stored.queued:
            answer_id = result.stored.answer.id
            ctx.queued_reactions.add(slack, message.thread.channel, message.ts, answer_id)


async def _offer_menu(ctx: ListenerContext, request: ChatRequest, notice: Notice | None) -> None:
    """Posts the menu, and then the notice in the thread that the menu starts."""
    await ctx.menus.offer(request)
    if notice is not None:
        await notice


def _file_notice(
    ctx: ListenerContext, slack: SlackClient, message: IncomingMessage, result: HandleResult
) -> Notice | None:
    """Tells the user which of the message's files cannot be used, as far as is known yet."""
    if result.model is not None:
        text = ctx.file_notices.cannot_see(result.model)
    else:
        text = ctx.file_notices.unreadable(message.files)
    if not text:
        return None
    in_thread = message.in_thread or result.outcome is Outcome.REQUESTED
    thread = message.thread.ts if in_thread else None
    return post_ephemeral_once(
        slack,
        message.ts,
        channel=message.thread.channel,
        user=message.user,
        text=text,
        thread=thread,
    )


def _notify_chat_full(
    ctx: ListenerContext, slack: SlackClient, message: IncomingMessage, chat_id: str
) -> None:
    notice = post_ephemeral_once(
        slack,
        message.ts,
        channel=message.thread.channel,
        user=message.user,
        text=strings.CHAT_FULL.format(count=ctx.service.limit),
        thread=message.thread.ts,
        content=chat_full.limit_reached(
            chat_id, ctx.service.limit, unmarked(message.text), message.ts
        ),
    )
    ctx.tasks.start(notice, name="notice")


def _notify_budget_reached(
    ctx: ListenerContext, slack: SlackClient, message: IncomingMessage, reached: BudgetReached
) -> None:
    notice = post_ephemeral_once(
        slack,
        message.ts,
        channel=message.thread.channel,
        user=message.user,
        text=budget_reached(reached),
        thread=message.thread.ts if message.in_thread else None,
    )
    ctx.tasks.start(notice, name="notice")


async def _learn_names(ctx: ListenerContext, message: IncomingMessage) -> None:
    """Asks Slack for the names of the author and of all users mentioned, and stores the text with them."""
    team = message.thread.team
    await ctx.names.learn(User(team, message.user), [User(team, id) for id in message.mentions])
    text = await ctx.names.replace_ids(team, message.text)
    if text != message.text:
        await ctx.service.replace_text(message.thread, message.ts, message.text, text)
